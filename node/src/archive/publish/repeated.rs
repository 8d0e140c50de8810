//! Recognises a release that this node signed before.
//!
//! A scheduled `add` of an unchanged source is the usual caller of `add`. It signs nothing: each
//! release stays in the feed and in every list for ever.

use perennial_manifest::{
    Artifact, ArtifactList, Body, EntryId, Origin, PublisherId, PublisherKind, Release, ReleaseId,
    Role, Selector, StatusKind, Target,
};
use perennial_store::{Pin, ReleaseFilter, ReleaseRow, Store, StoreError};

/// A release about to be signed, beside its body.
pub(super) struct Repeat<'a> {
    pub(super) store: &'a Store,
    pub(super) list: &'a ArtifactList,
    /// The licence that the caller stated, if any.
    pub(super) stated: Option<String>,
    /// The publisher's kind that the caller stated, if any.
    pub(super) kind: Option<PublisherKind>,
}

impl Repeat<'_> {
    /// The publisher's last release of the same name, if it says the same as `release` and was not
    /// yanked; it is pinned again. A forked feed has no last release.
    pub(super) fn of(
        &self,
        own: &PublisherId,
        release: &Release,
    ) -> Result<Option<ReleaseId>, StoreError> {
        if self.store.feed(own)?.is_forked() {
            return Ok(None);
        }
        let filter = ReleaseFilter {
            publisher: Some(*own),
            selector: Some(Selector::Purl(release.purl.clone())),
            ..ReleaseFilter::default()
        };
        let rows = self.store.releases(&filter)?.into_iter();
        let last = rows.filter(|row| row.purl == release.purl).max_by_key(|row| row.seq);
        let Some(last) = last else { return Ok(None) };
        if !self.says_the_same(&last, release)? || self.is_yanked(own, &last)? {
            return Ok(None);
        }
        self.store.set_pin(Pin::Release(last.release), true)?;
        self.store.refresh_state(&last.release)?;
        Ok(Some(last.release))
    }

    fn says_the_same(&self, last: &ReleaseRow, release: &Release) -> Result<bool, StoreError> {
        let kind = self.store.publisher_kind(&last.publisher)?;
        if self.kind.is_some() && self.kind != kind {
            return Ok(false);
        }
        let before = match self.store.entry(&last.release.entry()) {
            Ok(before) => before,
            Err(StoreError::DamagedEntry(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some((_, before)) = before.as_ref().and_then(|entry| entry.release()) else {
            return Ok(false);
        };
        let states_more = self.stated.as_ref().is_some_and(|stated| *stated != before.license)
            || release.notes.is_some() && release.notes != before.notes
            || release.tags != before.tags;
        if states_more {
            return Ok(false);
        }
        if last.artifacts == release.artifacts {
            return Ok(true);
        }
        let before = self.store.read_list(&last.artifacts);
        Ok(before.ok().flatten().is_some_and(|before| is_same(self.list, &before)))
    }

    /// Whether the publisher yanked a release after signing it.
    fn is_yanked(&self, own: &PublisherId, last: &ReleaseRow) -> Result<bool, StoreError> {
        let yanks = |id: EntryId| {
            Ok(self.store.entry(&id)?.is_some_and(|entry| {
                matches!(&entry.entry().body, Body::Status(status)
                    if status.status == StatusKind::Yanked
                        && status.target == Target::Release(last.release.entry()))
            }))
        };
        for id in self.store.remarks(own, last.seq)? {
            if yanks(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether two lists have the same files from the same places. Details that differ each day do not
/// count: redirect targets, signatures and tokens of URLs, and the index that listed a chart.
fn is_same(one: &ArtifactList, other: &ArtifactList) -> bool {
    let is_chart = |list: &ArtifactList| list.iter().any(|artifact| artifact.role == Role::Chart);
    let charts = is_chart(one) && is_chart(other);
    let counted = move |artifact: &&Artifact| !(charts && artifact.role == Role::Index);
    let plain = |artifact: &Artifact| Artifact {
        origins: artifact.origins.first().map(|url| Origin::of(url).text).into_iter().collect(),
        ..artifact.clone()
    };
    one.iter().filter(counted).map(plain).eq(other.iter().filter(counted).map(plain))
}
