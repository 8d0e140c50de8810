//! The local conversation between a client, such as the command line, and a node: one Unix socket
//! in the data directory.
//!
//! Owns the vocabulary of that conversation, its framing and both ends. Each request is a type that
//! names the rows it streams and the answer it ends with ([`Ask`]); [`Client::call`] returns that
//! answer, and a [`Handler`] has one method per request. The modules follow the nouns: a request,
//! its rows and its answer are defined side by side; those that the archive itself uses come from
//! `perennial-operation`. Rows and answers are what `perennial --json`
//! prints, so their fields are stable.
//!
//! A connection carries one request and the replies to it; closing the connection cancels the
//! request. Any process that can open the socket acts with the rights of the node's user: the
//! socket has mode 0600, and nothing here opens a port.
//!
//! A length read from the socket is compared with its bound before memory is allocated for it.
//! Knows no store, no network and no terminal.

mod client;
mod deny;
mod failure;
mod follow;
mod forget;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod get;
mod handler;
mod maintenance;
mod node;
mod pin;
mod release;
mod reply;
mod request;
mod server;
mod socket;

pub use client::{CallError, Client, ConnectError};
pub use deny::{Denied, DeniedRow, Deny, Undeny};
pub use failure::{Claim, Failure, MAX_CLAIMS, MAX_DETAILS};
pub use follow::{Follow, FollowRow, Follows, Target, Unfollow, Unfollowed};
pub use forget::{Forget, ForgetDone};
pub use frame::{FrameError, MAX_REPLY, MAX_REQUEST};
pub use get::{Get, GetDone, WrittenImage};
pub use handler::{Handler, Sink};
pub use maintenance::{
    CorruptRow, Gc, GcDone, RebuildDone, RebuildIndex, Relocate, RelocateDone, StoredObject,
    UnmovedRow, Verify, VerifyDone,
};
pub use node::{
    Audit, AuditDone, AuditRow, Connect, ConnectDone, FullBy, Key, KeyRow, Merge, NewFeed, PeerRow,
    Peers, Rotate, Shutdown, Status, StatusRow, UnreachedRow,
};
pub use perennial_operation::{
    Add, Completeness, Environment, ErrorKind, Failed, Import, ImportEvent, ImportSource,
    ImportSummary, Progress, Published, Retrying, Stage,
};
pub use pin::{Pin, PinKind, PinRow, PinTarget, Pins, Unpin};
pub use release::{ArtifactRow, HolderRow, Ls, ReleaseRow, Search, Show, ShowDone, Shown};
pub use reply::{Event, Listed, NoRows};
pub use request::{Ask, Request};
pub use server::{BindError, Listener, MAX_CONNECTIONS};
pub use socket::socket_path;
