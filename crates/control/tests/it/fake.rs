//! A node that answers a few requests and refuses the rest.

use std::sync::Arc;

use perennial_control::{
    Add, ArtifactRow, Audit, AuditDone, AuditRow, Connect, ConnectDone, CorruptRow, Denied,
    DeniedRow, Deny, ErrorKind, Failure, Follow, FollowRow, Follows, Forget, ForgetDone, Gc,
    GcDone, Get, GetDone, Handler, Import, ImportEvent, ImportSummary, Key, KeyRow, Listed, Ls,
    Merge, NewFeed, NoRows, PeerRow, Peers, Pin, PinRow, Pins, Progress, Published, RebuildDone,
    RebuildIndex, ReleaseRow, Relocate, RelocateDone, Rotate, Search, Show, ShowDone, Shutdown,
    Sink, Stage, Status, StatusRow, Undeny, Unfollow, Unfollowed, UnmovedRow, Unpin, Verify,
    VerifyDone,
};
use perennial_manifest::{EntryId, Holding, Keypair, PublisherKind, Purl};
use tokio::sync::Notify;

/// Answers `search` with as many rows as requested, never answers `peers`, and finds nothing else.
#[derive(Default)]
pub(crate) struct Fake {
    /// Notified when a `peers` request is cancelled.
    pub(crate) cancelled: Arc<Notify>,
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A release with a number that distinguishes it from others.
pub(crate) fn row(n: u32) -> ReleaseRow {
    ReleaseRow {
        release: EntryId::from_bytes([7; 32]).into(),
        purl: Purl::parse("pkg:generic/a@1").unwrap(),
        publisher: Keypair::from_seed([7; 32]).id(),
        publisher_name: None,
        kind: PublisherKind::Archivist,
        issued_at: 0,
        artifacts: 1,
        bytes: u64::from(n),
        held_bytes: 0,
        state: Holding::Known,
        elsewhere: false,
    }
}

macro_rules! not_found {
    ($( $method:ident($request:ty, $item:ty) -> $answer:ty; )*) => {
        $(
            async fn $method(&self, _: $request, _: Sink<$item>) -> Result<$answer, Failure> {
                Err(Failure::new(ErrorKind::NotFound, "nothing here").hint("look elsewhere"))
            }
        )*
    };
}

impl Handler for Fake {
    async fn search(&self, request: Search, sink: Sink<ReleaseRow>) -> Result<Listed, Failure> {
        for n in 0..request.limit {
            sink.progress(Progress::of(Stage::Finding));
            assert!(sink.item(row(n)).await);
        }
        Ok(Listed { rows: request.limit.into(), ..Listed::default() })
    }

    async fn peers(&self, _: Peers, _: Sink<PeerRow>) -> Result<Listed, Failure> {
        let _guard = OnDrop(self.cancelled.clone());
        std::future::pending().await
    }

    not_found! {
        add(Add, NoRows) -> Published;
        import(Import, ImportEvent) -> ImportSummary;
        get(Get, NoRows) -> GetDone;
        ls(Ls, ReleaseRow) -> Listed;
        show(Show, ArtifactRow) -> ShowDone;
        follow(Follow, NoRows) -> ();
        unfollow(Unfollow, NoRows) -> Unfollowed;
        forget(Forget, NoRows) -> ForgetDone;
        follows(Follows, FollowRow) -> Listed;
        pin(Pin, NoRows) -> PinRow;
        unpin(Unpin, NoRows) -> PinRow;
        pins(Pins, PinRow) -> Listed;
        deny(Deny, NoRows) -> DeniedRow;
        undeny(Undeny, NoRows) -> DeniedRow;
        denied(Denied, DeniedRow) -> Listed;
        status(Status, NoRows) -> StatusRow;
        key(Key, NoRows) -> KeyRow;
        audit(Audit, AuditRow) -> AuditDone;
        rotate(Rotate, NoRows) -> KeyRow;
        merge(Merge, NoRows) -> ();
        verify(Verify, CorruptRow) -> VerifyDone;
        relocate(Relocate, UnmovedRow) -> RelocateDone;
        gc(Gc, NoRows) -> GcDone;
        rebuild_index(RebuildIndex, NoRows) -> RebuildDone;
        connect(Connect, NoRows) -> ConnectDone;
        new_feed(NewFeed, NoRows) -> ();
        shutdown(Shutdown, NoRows) -> ();
    }
}
