//! The table of requests, with the rows and the answer of each.
//!
//! [`Request`], the [`Ask`] implementations and [`Handler`](crate::Handler) are generated from the
//! table in [`requests!`], so that a request without an answer, or without a handler, does not
//! compile.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    AuditDone, ConnectDone, DeniedRow, ForgetDone, GcDone, GetDone, ImportSummary, KeyRow, Listed,
    PinRow, Published, RebuildDone, RelocateDone, ShowDone, StatusRow, Unfollowed, VerifyDone,
};

/// A request with its row and answer types.
pub trait Ask: Into<Request> {
    /// A row streamed before the answer; [`NoRows`](crate::NoRows) for a request without rows.
    type Item: Serialize + DeserializeOwned + Send + 'static;
    /// The answer, sent once, at the end.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// Passes the table of requests to the macro `$consumer`. One line per request: its type and the
/// handler's method, the rows it streams, the answer it ends with.
macro_rules! requests {
    ($consumer:ident) => {
        $consumer! {
            /// Stores files, signs a release of them and announces it.
            Add, add: NoRows => Published;
            /// Imports from an upstream: signs a release of each item that arrived, and announces
            /// it.
            Import, import: ImportEvent => ImportSummary;
            /// Brings a release or a blob here and, on request, writes it out.
            Get, get: NoRows => GetDone;
            /// Lists releases that are held or known.
            Ls, ls: ReleaseRow => Listed;
            /// Describes one release in full.
            Show, show: ArtifactRow => ShowDone;
            /// Lists known releases whose names match words.
            Search, search: ReleaseRow => Listed;
            /// Follows a publisher: keeps what it releases and trusts it for names.
            Follow, follow: NoRows => ();
            /// Stops following a publisher, and returns it; `not-found` when it is not followed.
            /// Held bytes stay until `gc`.
            Unfollow, unfollow: NoRows => Unfollowed;
            /// Drops the entries of a publisher that is not followed, but those that pins need;
            /// `not-found` when none is known.
            Forget, forget: NoRows => ForgetDone;
            /// Lists the followed publishers.
            Follows, follows: FollowRow => Listed;
            /// Keeps a release or a blob regardless of follows.
            Pin, pin: NoRows => PinRow;
            /// Removes a pin and returns it; `not-found` when there is none.
            Unpin, unpin: NoRows => PinRow;
            /// Lists the pins.
            Pins, pins: PinRow => Listed;
            /// Denies something, and returns its line of the deny list.
            Deny, deny: NoRows => DeniedRow;
            /// Takes something off the deny list, and returns its line; `not-found` when it is not
            /// on it.
            Undeny, undeny: NoRows => DeniedRow;
            /// Lists what is denied.
            Denied, denied: DeniedRow => Listed;
            /// Describes the node in numbers.
            Status, status: NoRows => StatusRow;
            /// Lists the connected peers.
            Peers, peers: PeerRow => Listed;
            /// Describes the node's publisher key; creates one when there is none.
            Key, key: NoRows => KeyRow;
            /// Looks for secrets in what the node has signed; one row per place with some, and
            /// per place that cannot be read.
            Audit, audit: AuditRow => AuditDone;
            /// Hands the node's own feed over to a new key, with which it signs from then on.
            Rotate, rotate: NoRows => KeyRow;
            /// Signs a merge of the branches of the node's own forked feed.
            Merge, merge: NoRows => ();
            /// Begins the feed of a key that may have signed elsewhere.
            NewFeed, new_feed: NoRows => ();
            /// Reads every stored blob and entry again; one row per object that fails.
            Verify, verify: CorruptRow => VerifyDone;
            /// Refers to files that were added in place at their new place; one row per file that
            /// is not there. `not-found` when none was added in place below the old path.
            Relocate, relocate: UnmovedRow => RelocateDone;
            /// Frees what no pin and no follow needs.
            Gc, gc: NoRows => GcDone;
            /// Rebuilds the index from the stored files.
            RebuildIndex, rebuild_index: NoRows => RebuildDone;
            /// Connects to peers, now and whenever a connection is lost, until the node stops.
            /// Answers when a peer is connected, when none of the addresses leads to one, or when
            /// the wait is over; a peer that does not answer is not an error.
            Connect, connect: NoRows => ConnectDone;
            /// Stops the node cleanly. Answers before it stops.
            Shutdown, shutdown: NoRows => ();
        }
    };
}
pub(crate) use requests;

macro_rules! define_request {
    ($( $(#[$doc:meta])* $name:ident, $method:ident: $item:ident => $answer:ty; )*) => {
        /// One request, of any type, as it is on the wire; a connection carries exactly one.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "op", content = "args", rename_all = "kebab-case")]
        pub enum Request {
            $( $(#[$doc])* $name(crate::$name), )*
        }

        $(
            impl Ask for crate::$name {
                type Item = crate::$item;
                type Answer = $answer;
            }

            impl From<crate::$name> for Request {
                fn from(request: crate::$name) -> Request {
                    Request::$name(request)
                }
            }
        )*
    };
}

requests!(define_request);
