//! Every network decision, without a network: same inputs, same effects.
//!
//! One [`Node`] takes an [`Input`] and the [`Time`] and returns [`Effect`]s. It owns no socket, no
//! disk, no clock and no randomness: the caller carries effects out and reports events. It queries
//! this node's entries and blobs through [`Catalog`]. `PROTOCOL.md` describes the messages.

mod answer;
mod batches;
mod catalog;
mod effect;
mod effects;
#[cfg(test)]
mod fake_catalog;
mod fetch;
mod find;
mod gossip;
mod input;
mod keep;
mod limits;
mod message;
mod node;
mod peer;
mod placement;
mod places;
mod prefix;
mod questions;
mod reputation;
mod requests;
mod sync;
mod time;
mod transfer;

pub use answer::{Answer, Question};
pub use catalog::{Catalog, Wanted};
pub use effect::{Acceptance, DownloadItem, Effect, FetchFailure, Holder, Offence, Progress};
pub use input::{
    CensusId, FetchId, Follows, Input, KeepOutcome, LookupId, MessageId, RequestFailure, RequestId,
    Token, Verdict, WantedBlob,
};
pub use message::{
    BLOB_NOT_HELD, BLOB_OK, BLOB_PROTOCOL, BLOB_REFUSED, BlobClaim, BlobRange, BlobRequest,
    Bounded, EntryBytes, GROUP, MAX_BLOB_ITEMS, MAX_BLOB_REQUEST, MAX_ENTRIES_BYTES, MAX_ENTRY_IDS,
    MAX_FOUND, MAX_HAVE_BLOBS, MAX_HAVE_RELEASES, MAX_RANGES, MAX_RECONCILE_REQUEST,
    MAX_RECONCILE_RESPONSE, MAX_REQUEST, MAX_RESPONSE, MAX_SCOPE, MAX_SELECTOR, MessageError,
    REQUEST_PROTOCOL, Refusal, Request, Response, Scope, TOPIC, TooMany, frame_length,
    frame_prefix,
};
pub use node::{Config, Load, Node};
pub use peer::{MAX_PEER_ID, PeerId, PeerIdError};
pub use places::{Entry, Guest, Places, Shares, Standing, Standings, leaver};
pub use prefix::Prefix;
pub use requests::REQUEST_TIMEOUT;
pub use sync::set::Sealed;
pub use time::Time;
pub use transfer::{AssignmentId, End, Report};
