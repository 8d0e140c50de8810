//! Nodes of one process that talk over loopback, asked over their control sockets as any user would.

mod holders;
mod machine;
