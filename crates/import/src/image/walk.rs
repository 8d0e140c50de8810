//! The walk from a root manifest into the store: manifests first, then the blobs that they name.
//!
//! The rules of the walk are [`perennial_oci::Tree`]'s. This module carries them out: it fetches
//! manifests and blobs, selects platforms, and records the content that is left out.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use perennial_oci::{Content, Descriptor, Digest, Manifest, Stored, Tree, Visit};
use perennial_store::MAX_BLOB;

use crate::image::blob_sink::BlobSink;
use crate::image::platforms::{Platforms, show};
use crate::image::{Origin, Wanted};
use crate::{Failed, ImportError};

/// Most blobs fetched at once.
const PARALLEL: usize = 4;

/// A file of the layout, in the store.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) content: Content,
    pub(crate) stored: Stored,
}

/// The stored manifests of a tree, and the blobs still to be fetched.
pub(super) struct Walk {
    root: Digest,
    tree: Tree,
    manifests: BTreeMap<Digest, Stored>,
    left_out: Vec<Failed>,
}

impl Walk {
    /// Fetches all manifests of an image, for the requested platforms.
    pub(super) async fn image(
        sink: &BlobSink<'_>,
        origin: &impl Origin,
        root: &Digest,
        platforms: &Platforms,
    ) -> Result<Self, ImportError> {
        Self::begin(root, Tree::image(*root)).run(sink, origin, platforms).await
    }

    /// Fetches all manifests of a statement about an image.
    pub(super) async fn statement(
        sink: &BlobSink<'_>,
        origin: &impl Origin,
        root: &Digest,
    ) -> Result<Self, ImportError> {
        Self::begin(root, Tree::statement(*root)).run(sink, origin, &Platforms::default()).await
    }

    fn begin(root: &Digest, tree: Tree) -> Self {
        Self { root: *root, tree, manifests: BTreeMap::new(), left_out: Vec::new() }
    }

    async fn run(
        mut self,
        sink: &BlobSink<'_>,
        origin: &impl Origin,
        platforms: &Platforms,
    ) -> Result<Self, ImportError> {
        let mut lost = None;
        while let Some(visit) = self.tree.next_visit()? {
            let digest = visit.digest();
            match read(sink, origin, &digest).await {
                Ok((stored, manifest)) => {
                    self.add(&visit, stored, &manifest, origin, platforms)?;
                }
                Err(error) if error.is_final() || digest == self.root => return Err(error),
                // An index may name platforms that the registry lacks; the others are whole.
                Err(error) => {
                    let what = match visit.platform() {
                        Some(platform) => format!("{} ({digest})", show(platform)),
                        None => digest.to_string(),
                    };
                    self.left_out.push(Failed { what, reason: error.to_string() });
                    lost = lost.or(Some(error));
                }
            }
        }
        if let (Some(lost), 1) = (lost, self.manifests.len()) {
            return Err(lost);
        }
        let too_large = self.tree.blobs().find(|(_, blob)| blob.size > MAX_BLOB);
        if let Some((digest, Content { size, .. })) = too_large {
            let reason = format!("{size} bytes are more than a blob may have ({MAX_BLOB})");
            return Err(ImportError::Upstream { what: digest.to_string(), reason });
        }
        self.left_out.extend(self.tree.foreign().iter().map(|layer| {
            let reason = format!(
                "its licence keeps it from being passed on ({}); left out",
                layer.media_type
            );
            Failed { what: layer.digest.to_string(), reason }
        }));
        Ok(self)
    }

    fn add(
        &mut self,
        visit: &Visit,
        stored: Stored,
        manifest: &Manifest,
        origin: &impl Origin,
        platforms: &Platforms,
    ) -> Result<(), ImportError> {
        let chosen = manifest.select(|child| platforms.want(child));
        let is_lacking = |child: &&Descriptor| child.is_manifest() && origin.lacks(&child.digest);
        let (lacking, children): (Vec<_>, Vec<_>) = chosen.into_iter().partition(is_lacking);
        self.left_out.extend(lacking.iter().map(|child| Failed {
            what: child.digest.to_string(),
            reason: "the index names it, but it was not saved".to_owned(),
        }));
        if children.is_empty() && !manifest.children().is_empty() {
            return Err(nothing_chosen(visit.digest(), manifest, platforms));
        }
        self.tree.add_with(visit, stored.size, manifest, &children)?;
        self.manifests.insert(visit.digest(), stored);
        Ok(())
    }

    /// The manifests, in the order in which they were found.
    pub(super) fn manifests(&self) -> &[Digest] {
        self.tree.manifests()
    }

    /// The root's entry for `index.json`.
    pub(super) fn entry(&self, tag: Option<&str>) -> Option<Descriptor> {
        self.tree.entry(&self.root, tag)
    }

    /// Fetches the blobs, a few at a time.
    pub(super) async fn fetch(
        self,
        sink: &BlobSink<'_>,
        origin: &impl Origin,
    ) -> Result<(BTreeMap<Digest, Piece>, Vec<Failed>), ImportError> {
        let wanted = |(digest, blob): (Digest, &Content)| Wanted { digest, size: blob.size };
        let blobs: Vec<_> = self.tree.blobs().map(wanted).collect();
        let total = blobs.iter().fold(0u64, |sum, blob| sum.saturating_add(blob.size));
        sink.meter.expect(blobs.len() as u64, total);
        let mut stored: BTreeMap<Digest, Stored> = stream::iter(blobs)
            .map(|wanted| async move {
                let stored = sink.blob(origin, &wanted).await?;
                sink.meter.item();
                Ok::<_, ImportError>((wanted.digest, stored))
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        stored.extend(self.manifests);
        let pieces = self.tree.contents().filter_map(|(digest, content)| {
            let stored = *stored.get(&digest)?;
            Some((digest, Piece { content: content.clone(), stored }))
        });
        Ok((pieces.collect(), self.left_out))
    }
}

async fn read(
    sink: &BlobSink<'_>,
    origin: &impl Origin,
    digest: &Digest,
) -> Result<(Stored, Manifest), ImportError> {
    let (stored, bytes) = sink.manifest(origin, digest).await?;
    let manifest = Manifest::parse(&bytes)
        .map_err(|error| ImportError::manifest(digest.to_string(), error))?;
    Ok((stored, manifest))
}

/// The error for an index none of whose children is selected.
fn nothing_chosen(digest: Digest, index: &Manifest, platforms: &Platforms) -> ImportError {
    let reason = if platforms.are_all() {
        "nothing that the index names was saved".to_owned()
    } else {
        let stated: BTreeSet<_> =
            index.children().iter().filter_map(Descriptor::platform).map(show).collect();
        let stated = stated.into_iter().collect::<Vec<_>>().join(", ");
        format!("it is not for any platform that was asked for; it is for {stated}")
    };
    ImportError::Gone { what: digest.to_string(), reason }
}
