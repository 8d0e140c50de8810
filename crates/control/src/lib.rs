//! The local conversation between the command line and a node: one Unix socket in the data directory.
//!
//! Owns the words of that conversation ([`Request`], [`Reply`] and the rows that `--json` prints), its framing
//! and both ends. A connection carries one request and the replies to it; closing the connection cancels the
//! request. Whoever may open the socket acts with the rights of the node's user: it is created with mode 0600,
//! and nothing here opens a port.
//!
//! Names, digests and publishers are plain text here: this crate carries them, the node reads them.
//! Promises: no length from the socket is believed before it was compared with a bound. Knows no store, no
//! network and no terminal.

mod client;
mod frame;
mod import_row;
mod reply;
mod request;
mod row;
mod server;

pub use client::{CallError, Client, ConnectError, Event};
pub use frame::{FrameError, MAX_REPLY, MAX_REQUEST};
pub use import_row::{CompletenessRow, FailedRow, ImportDone};
pub use reply::{Claim, Done, ErrorCode, Failure, Item, MAX_CLAIMS, Progress, Reply, Stage};
pub use request::{Add, Follow, Gc, Get, Import, Ls, Request, Source, Target};
pub use row::{
    AddDone, ArtifactRow, CorruptRow, FollowRow, GcDone, GetDone, HolderRow, KeyRow, PeerRow,
    PinRow, RebuildDone, ReleaseRow, ShowDone, StatusRow, VerifyDone,
};
pub use server::{BindError, Handler, Listener, MAX_CONNECTIONS, Sink, socket_path};
