//! Rows of releases and files, with the fields of `perennial ls --json` and
//! `perennial show --json`.
//!
//! The only place where the store's rows become those of `perennial_control`, so that the HTTP
//! documents and the node's answers to the command line consist of the same rows.

use std::collections::BTreeMap;

use perennial_control::{ArtifactRow, ReleaseRow};
use perennial_manifest::{Artifact, Body, PublisherId, PublisherKind, body};
use perennial_store::{Store, StoreError};
use serde::Serialize;

/// The version of the shapes of public JSON, as `cli/JSON.md` describes them.
pub(crate) const JSON_VERSION: u32 = 1;

/// A release as HTTP tells it.
#[derive(Debug, Serialize)]
pub(crate) struct PublicRow {
    v: u32,
    #[serde(flatten)]
    row: ReleaseRow,
    /// SPDX expression.
    license: String,
}

/// Builds rows of releases; looks up each publisher's profile only once.
#[derive(Debug)]
pub struct ReleaseRows<'a> {
    store: &'a Store,
    kinds: BTreeMap<PublisherId, PublisherKind>,
    names: BTreeMap<PublisherId, Option<String>>,
}

impl<'a> ReleaseRows<'a> {
    /// Rows of releases in `store`, for anybody: without the user's names for publishers.
    #[must_use]
    pub fn new(store: &'a Store) -> ReleaseRows<'a> {
        ReleaseRows { store, kinds: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Rows for the user, with the user's names for publishers.
    #[must_use]
    pub fn with_names(store: &'a Store) -> ReleaseRows<'a> {
        ReleaseRows { names: store.follows().publishers, ..Self::new(store) }
    }

    /// The row of one release.
    ///
    /// # Errors
    /// When the publisher's profile cannot be read.
    pub fn row(&mut self, row: &perennial_store::ReleaseRow) -> Result<ReleaseRow, StoreError> {
        let kind = match self.kinds.get(&row.publisher) {
            Some(kind) => *kind,
            None => {
                let kind = self.store.publisher_kind(&row.publisher)?.unwrap_or_default();
                *self.kinds.entry(row.publisher).or_insert(kind)
            }
        };
        Ok(ReleaseRow {
            release: row.release,
            purl: row.purl.clone(),
            publisher: row.publisher,
            publisher_name: self.names.get(&row.publisher).cloned().flatten(),
            kind,
            issued_at: row.issued_at,
            artifacts: u64::from(row.artifacts.count),
            bytes: row.artifacts.bytes,
            held_bytes: row.held_bytes,
            state: row.state,
            elsewhere: false,
        })
    }
}

impl ReleaseRows<'_> {
    /// The row of one release, for anybody, with what its statement adds.
    ///
    /// # Errors
    /// When the statement, or the publisher's profile, cannot be read.
    pub(crate) fn public(
        &mut self,
        row: &perennial_store::ReleaseRow,
    ) -> Result<PublicRow, StoreError> {
        let license = match self.store.statement(&row.release.entry())?.map(|entry| entry.body) {
            Some(Body::Release(stated)) => stated.license,
            _ => body::NO_ASSERTION.into(),
        };
        Ok(PublicRow { v: JSON_VERSION, row: self.row(row)?, license })
    }
}

/// The row of one file of a release.
///
/// # Errors
/// When the store cannot tell whether the file's bytes are held.
pub fn artifact_row(store: &Store, artifact: &Artifact) -> Result<ArtifactRow, StoreError> {
    let platform = artifact.platform.as_ref();
    Ok(ArtifactRow {
        path: artifact.path.clone(),
        size: artifact.size,
        blake3: artifact.blake3,
        sha256: artifact.sha256,
        role: artifact.role,
        media_type: artifact.media_type.clone(),
        platform: platform.map(|platform| format!("{}/{}", platform.os, platform.arch)),
        exec: artifact.exec,
        held: store.blob_size(&artifact.blake3)? == Some(artifact.size),
    })
}
