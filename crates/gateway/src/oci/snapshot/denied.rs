//! What the owner of the node denied, at the moment of a snapshot.

use std::collections::HashMap;

use perennial_manifest::{DenyTarget, PublisherId, ReleaseId};
use perennial_store::{Store, StoreError};

/// The releases that this node's owner denied, with what to say of them.
#[derive(Debug)]
pub(super) struct Denied {
    publishers: HashMap<PublisherId, String>,
    releases: HashMap<ReleaseId, String>,
}

impl Denied {
    pub(super) fn of(store: &Store) -> Result<Self, StoreError> {
        let denied = store.denied().into_keys();
        let publisher = |target| match target {
            DenyTarget::Publisher(id) => Some((id, store.denial(&target)?.to_string())),
            _ => None,
        };
        let by_name = store.denied_by_name()?.into_iter();
        Ok(Self {
            publishers: denied.filter_map(publisher).collect(),
            releases: by_name.map(|(release, denial)| (release, denial.to_string())).collect(),
        })
    }

    /// What to say of a release, if it is denied.
    pub(super) fn why(&self, publisher: &PublisherId, release: &ReleaseId) -> Option<&str> {
        let Self { publishers, releases } = self;
        publishers.get(publisher).or_else(|| releases.get(release)).map(String::as_str)
    }
}
