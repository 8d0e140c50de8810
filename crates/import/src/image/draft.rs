//! The draft of an image: an OCI image layout as a list of artifacts.
//!
//! `oci-layout` and `index.json` are generated, identically for the same image; every other file is
//! stored as it came.

use std::collections::BTreeMap;

use perennial_manifest::{Artifact, Draft, Observation, PathError};
use perennial_oci::{LayoutFile, Reference};

use crate::ImportError;
use crate::image::BlobSink;
use crate::image::gather::Gathered;

/// The fields of a release besides its files.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) from: String,
    pub(crate) license: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) observations: Vec<Observation>,
}

/// Drafts the release of a stored image.
pub(crate) async fn draft(
    sink: &BlobSink<'_>,
    reference: &Reference,
    image: Gathered,
    about: About,
) -> Result<Draft, ImportError> {
    let usage = |error: &dyn std::fmt::Display| ImportError::Usage(format!("{reference}: {error}"));
    let refused = |error: PathError| usage(&error);
    let purl = reference.purl().map_err(|error| usage(&error))?;
    let root = image.root.digest;
    let manifests: Vec<_> = [image.root].into_iter().chain(image.attached).collect();
    let index = LayoutFile::index(&manifests).map_err(|error| usage(&error))?;
    let mut artifacts: Vec<Artifact> = Vec::new();
    for file in [LayoutFile::header(), index] {
        let stored = sink.bytes(file.bytes.clone()).await?;
        artifacts.push(file.artifact(stored).map_err(refused)?);
    }
    for (digest, piece) in &image.pieces {
        artifacts.push(piece.content.artifact(digest, piece.stored).map_err(refused)?);
    }
    let tags = match reference.tag() {
        Some(_) => BTreeMap::from([(reference.to_string(), root.to_string())]),
        None => BTreeMap::new(),
    };
    let About { from, license, notes, observations } = about;
    Ok(Draft { purl, license, artifacts, from, tags, observations, notes })
}
