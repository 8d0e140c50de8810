//! Nodes of one process that talk over loopback, asked over their control sockets as any user would.

mod damage;
mod digests;
mod holders;
mod machine;
mod upstream;
