//! The walk from a root manifest into the store: manifests first, then the blobs that they name.
//!
//! The rules of the walk are [`perennial_oci::Tree`]'s. This module carries them out: it fetches
//! manifests and blobs, selects platforms, and records the content that is left out.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use perennial_manifest::Role;
use perennial_oci::{Content, Descriptor, Digest, Manifest, Stored, Tree, Visit};
use perennial_store::MAX_BLOB;

use crate::image::blob_sink::BlobSink;
use crate::image::platforms::Platforms;
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
    /// The blobs that each image manifest consists of.
    needs: BTreeMap<Digest, Vec<Digest>>,
    /// Manifests that are left out because their blobs cannot be fetched, with the reason.
    broken: BTreeMap<Digest, Failed>,
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
        Self {
            root: *root,
            tree,
            manifests: BTreeMap::new(),
            needs: BTreeMap::new(),
            broken: BTreeMap::new(),
            left_out: Vec::new(),
        }
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
            if let Some(reason) = self.broken.get(&digest) {
                self.left_out.push(Failed { what: named(&visit), ..reason.clone() });
                continue;
            }
            match read(sink, origin, &digest).await {
                Ok((stored, manifest)) => {
                    self.add(&visit, stored, &manifest, origin, platforms)?;
                }
                Err(error) if error.is_final() || digest == self.root => return Err(error),
                // An index may name platforms that the registry lacks; the others are whole.
                Err(error) => {
                    self.left_out.push(error.of(named(&visit)));
                    lost = lost.or(Some(error));
                }
            }
        }
        if let (Some(lost), false) = (lost, self.has_image(&BTreeMap::new())) {
            return Err(lost.of_whole());
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
            Failed::new(layer.digest.to_string(), reason)
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
        self.left_out.extend(lacking.iter().map(|child| {
            Failed::new(child.digest.to_string(), "the index names it, but it was not saved")
        }));
        if children.is_empty() && !manifest.children().is_empty() {
            return Err(nothing_chosen(visit.digest(), manifest, platforms));
        }
        self.tree.add_with(visit, stored.size, manifest, &children)?;
        let parts = manifest.config.iter().chain(&manifest.layers);
        self.needs.insert(visit.digest(), parts.map(|part| part.digest).collect());
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

    /// Fetches the blobs, a few at a time. A platform whose blobs cannot be fetched is left out,
    /// with the blobs that only it consists of; the others are whole.
    pub(super) async fn fetch(
        self,
        sink: &BlobSink<'_>,
        origin: &impl Origin,
        platforms: &Platforms,
    ) -> Result<(BTreeMap<Digest, Piece>, Vec<Failed>), ImportError> {
        let (mut stored, mut failed) = self.fetch_all(sink, origin).await?;
        let broken = self.broken_by(&failed);
        if !broken.is_empty()
            && !self.has_image(&broken)
            && let Some((_, error)) = failed.pop_first()
        {
            return Err(error.of_whole());
        }
        let mut walk = self;
        if !broken.is_empty() {
            let again = Self { broken, ..Self::begin(&walk.root, walk.tree.anew(walk.root)) };
            walk = again.run(sink, origin, platforms).await?;
        }
        // What an index names itself, and what is no manifest, is nobody's part.
        let own = |(digest, _): (Digest, _)| Some(failed.get(&digest)?.of(digest.to_string()));
        walk.left_out.extend(walk.tree.blobs().filter_map(own));
        stored.extend(walk.manifests);
        let pieces = walk.tree.contents().filter_map(|(digest, content)| {
            let stored = *stored.get(&digest)?;
            Some((digest, Piece { content: content.clone(), stored }))
        });
        Ok((pieces.collect(), walk.left_out))
    }

    /// Fetches what can be had; the second map says why the rest cannot.
    async fn fetch_all(
        &self,
        sink: &BlobSink<'_>,
        origin: &impl Origin,
    ) -> Result<(BTreeMap<Digest, Stored>, BTreeMap<Digest, ImportError>), ImportError> {
        let wanted = |(digest, blob): (Digest, &Content)| Wanted { digest, size: blob.size };
        let blobs: Vec<_> = self.tree.blobs().map(wanted).collect();
        let total = blobs.iter().fold(0u64, |sum, blob| sum.saturating_add(blob.size));
        sink.meter.expect(blobs.len() as u64, total);
        let mut fetched = stream::iter(blobs)
            .map(|wanted| async move {
                let stored = sink.blob(origin, &wanted).await;
                sink.meter.item();
                (wanted.digest, stored)
            })
            .buffer_unordered(PARALLEL);
        let (mut stored, mut failed) = (BTreeMap::new(), BTreeMap::new());
        while let Some((digest, outcome)) = fetched.next().await {
            match outcome {
                Ok(blob) => drop(stored.insert(digest, blob)),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => drop(failed.insert(digest, error)),
            }
        }
        Ok((stored, failed))
    }

    /// Whether an image is left without these manifests; statements about images are none, unless
    /// the walk is about one.
    fn has_image(&self, without: &BTreeMap<Digest, Failed>) -> bool {
        let mut parts = self.tree.contents().filter(|(digest, _)| {
            let parts = self.needs.get(digest);
            parts.is_some_and(|parts| !parts.is_empty()) && !without.contains_key(digest)
        });
        let root = self.tree.contents().find(|(digest, _)| *digest == self.root);
        let wanted = match root {
            Some((_, root)) if root.role == Role::Signature => Role::Signature,
            _ => Role::ImageManifest,
        };
        parts.any(|(_, content)| content.role == wanted)
    }

    /// The manifests that lack one of these blobs, with the reason.
    fn broken_by(&self, failed: &BTreeMap<Digest, ImportError>) -> BTreeMap<Digest, Failed> {
        let lacking = self.needs.iter().filter_map(|(manifest, parts)| {
            let (part, error) = parts.iter().find_map(|part| failed.get_key_value(part))?;
            let reason = format!("it consists of {part}, which cannot be fetched: {error}");
            Some((*manifest, Failed::new(manifest.to_string(), reason).of(error.kind())))
        });
        lacking.collect()
    }
}

/// A manifest as the user knows it.
fn named(visit: &Visit) -> String {
    match visit.platform() {
        Some(platform) => format!("{} ({})", platform, visit.digest()),
        None => visit.digest().to_string(),
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
        let stated: BTreeSet<_> = index
            .children()
            .iter()
            .filter_map(Descriptor::platform)
            .map(ToString::to_string)
            .collect();
        let stated = stated.into_iter().collect::<Vec<_>>().join(", ");
        format!("it is not for any platform that was asked for; it is for {stated}")
    };
    ImportError::Gone { what: digest.to_string(), reason }
}
