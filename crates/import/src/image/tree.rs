//! The walk from a root manifest to every byte it names.
//!
//! Promises that what is found, and its order, depend on the manifests alone, and that depth, number and length are bounded
//! before anything is fetched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::{StreamExt, TryStreamExt, stream};
use oci_spec::image::{Descriptor, Digest};
use perennial_manifest::{Platform, Role};
use perennial_store::MAX_BLOB;

use super::keeper::Kept;
use super::manifest::is_media_type;
use super::platform::{platform_of, show};
use super::{Keeper, MAX_MANIFEST, Manifest, Origin, Platforms, Wanted};
use crate::{Failed, ImportError};

/// Blobs that are fetched at a time.
const PARALLEL: usize = 4;
/// Most manifests of one image, and most manifests that are said about it.
pub(super) const MAX_MANIFESTS: usize = 2_000;
/// Most blobs under one root.
const MAX_BLOBS: usize = 20_000;
/// An index of indexes of indexes.
const MAX_DEPTH: usize = 3;

pub(crate) const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
pub(crate) const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
const EMPTY: &str = "application/octet-stream";

/// A file of the layout that is made.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) media_type: String,
    pub(crate) role: Role,
    pub(crate) platform: Option<Platform>,
    pub(crate) kept: Kept,
}

/// A manifest that `index.json` names.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) tag: Option<String>,
}

/// Manifests that are in the store, and the blobs they name.
#[derive(Default)]
pub(super) struct Tree {
    pieces: BTreeMap<String, Piece>,
    blobs: Vec<Blob>,
    /// Places in `blobs`, by digest.
    named: BTreeMap<String, usize>,
    /// In the order in which they were found.
    pub(super) manifests: Vec<Digest>,
    left_out: Vec<Failed>,
}

struct Blob {
    wanted: Wanted,
    media_type: String,
    role: Role,
    platform: Option<Platform>,
}

/// A manifest to look into.
struct Visit {
    digest: Digest,
    size: Option<u64>,
    platform: Option<Platform>,
    depth: usize,
    /// Whether it says something about an image instead of being one.
    statement: bool,
}

impl Tree {
    /// Reads all manifests under a root. Without platforms, it is a statement about an image.
    pub(super) async fn walk(
        keeper: &Keeper<'_>,
        origin: &impl Origin,
        root: &Digest,
        platforms: Option<&Platforms>,
    ) -> Result<Self, ImportError> {
        let mut tree = Self::default();
        let statement = platforms.is_none();
        let all = Platforms::default();
        let platforms = platforms.unwrap_or(&all);
        let visit = Visit { digest: root.clone(), size: None, platform: None, depth: 0, statement };
        let mut queue = VecDeque::from([visit]);
        while let Some(visit) = queue.pop_front() {
            let path = path_of(&visit.digest);
            if let Some(known) = tree.pieces.get_mut(&path) {
                meet(&mut known.platform, visit.platform.as_ref());
                continue;
            }
            if tree.manifests.len() >= MAX_MANIFESTS || visit.depth > MAX_DEPTH {
                let reason = format!(
                    "names more than {MAX_MANIFESTS} manifests, or more than {MAX_DEPTH} deep"
                );
                return Err(ImportError::Upstream { what: root.to_string(), reason });
            }
            let what = visit.digest.to_string();
            let (kept, bytes) = keeper.manifest(origin, &visit.digest).await?;
            if let Some(size) = visit.size
                && size != kept.size
            {
                let reason =
                    format!("has {} bytes, and {size} by the index that names it", kept.size);
                return Err(ImportError::Mismatch { what, reason });
            }
            let manifest = Manifest::parse(&what, &bytes)?;
            let role = match (visit.statement, manifest.is_index) {
                (true, _) => Role::Signature,
                (false, true) => Role::ImageIndex,
                (false, false) => Role::ImageManifest,
            };
            let media_type = manifest.media_type.clone();
            tree.pieces
                .insert(path, Piece { media_type, role, platform: visit.platform.clone(), kept });
            tree.manifests.push(visit.digest.clone());
            if manifest.is_index {
                tree.children(&visit, &manifest, origin, platforms, &mut queue)?;
            }
            tree.blobs_of(&visit, &manifest)?;
        }
        Ok(tree)
    }

    fn children(
        &mut self,
        visit: &Visit,
        index: &Manifest,
        origin: &impl Origin,
        platforms: &Platforms,
        queue: &mut VecDeque<Visit>,
    ) -> Result<(), ImportError> {
        let wanted = |child: &&Descriptor| match platform_of(child) {
            Some(platform) => platforms.want(&platform),
            None => platforms.all() || child.platform().is_none(),
        };
        let mut chosen: Vec<&Descriptor> = index.manifests.iter().filter(wanted).collect();
        // what a builder attests of a platform goes with that platform
        let digests: BTreeSet<String> =
            chosen.iter().map(|child| child.digest().to_string()).collect();
        chosen.extend(index.manifests.iter().filter(|child| {
            !digests.contains(child.digest().as_ref())
                && attested(child).is_some_and(|subject| digests.contains(subject))
        }));
        let mut any = false;
        for child in chosen {
            let media_type = child.media_type().to_string();
            if !Manifest::is_one(&media_type) {
                any = true;
                self.blob(visit, child, Role::ImageLayer)?;
                continue;
            }
            if child.size() > MAX_MANIFEST {
                let reason =
                    format!("a manifest of {} bytes is longer than {MAX_MANIFEST}", child.size());
                return Err(ImportError::Upstream { what: child.digest().to_string(), reason });
            }
            if origin.lacks(child.digest()) {
                let reason = "the index names it, but it was not saved".to_owned();
                self.left_out.push(Failed { what: child.digest().to_string(), reason });
                continue;
            }
            any = true;
            queue.push_back(Visit {
                digest: child.digest().clone(),
                size: Some(child.size()),
                platform: platform_of(child).or_else(|| visit.platform.clone()),
                depth: visit.depth + 1,
                statement: visit.statement || attested(child).is_some(),
            });
        }
        if any || index.manifests.is_empty() {
            return Ok(());
        }
        let has: BTreeSet<_> =
            index.manifests.iter().filter_map(platform_of).map(|p| show(&p)).collect();
        let has = has.into_iter().collect::<Vec<_>>().join(", ");
        let reason = if platforms.all() {
            "nothing that the index names was saved".to_owned()
        } else {
            format!("it is not for any platform that was asked for; it is for {has}")
        };
        Err(ImportError::Gone { what: visit.digest.to_string(), reason })
    }

    fn blobs_of(&mut self, visit: &Visit, manifest: &Manifest) -> Result<(), ImportError> {
        if let Some(config) = &manifest.config {
            self.blob(visit, config, Role::ImageConfig)?;
        }
        for layer in &manifest.layers {
            let media_type = layer.media_type().to_string();
            if is_foreign(&media_type) {
                let reason =
                    format!("its licence keeps it from being passed on ({media_type}); left out");
                self.left_out.push(Failed { what: layer.digest().to_string(), reason });
                continue;
            }
            let role = match media_type.as_str() {
                CHART => Role::Chart,
                PROVENANCE => Role::Signature,
                _ => Role::ImageLayer,
            };
            self.blob(visit, layer, role)?;
        }
        Ok(())
    }

    fn blob(
        &mut self,
        visit: &Visit,
        descriptor: &Descriptor,
        role: Role,
    ) -> Result<(), ImportError> {
        let wanted = Wanted { digest: descriptor.digest().clone(), size: descriptor.size() };
        let refuse =
            |reason: String| Err(ImportError::Upstream { what: wanted.digest.to_string(), reason });
        super::Check::new(&wanted.digest)?;
        if wanted.size > MAX_BLOB {
            return refuse(format!(
                "{} bytes are more than a blob may have ({MAX_BLOB})",
                wanted.size
            ));
        }
        if let Some(&at) = self.named.get(wanted.digest.as_ref()) {
            let known = &mut self.blobs[at];
            if known.wanted.size != wanted.size {
                return refuse("two manifests say that it has two lengths".into());
            }
            meet(&mut known.platform, visit.platform.as_ref());
            return Ok(());
        }
        if self.blobs.len() >= MAX_BLOBS {
            return refuse(format!("the image names more than {MAX_BLOBS} blobs"));
        }
        self.named.insert(wanted.digest.to_string(), self.blobs.len());
        let said = descriptor.media_type().to_string();
        self.blobs.push(Blob {
            media_type: if is_media_type(&said) { said } else { EMPTY.to_owned() },
            role: if visit.statement { Role::Signature } else { role },
            platform: visit.platform.clone(),
            wanted,
        });
        Ok(())
    }

    pub(super) fn entry(&self, digest: &Digest, tag: Option<&str>) -> Entry {
        let piece = self.pieces.get(&path_of(digest));
        Entry {
            digest: digest.clone(),
            media_type: piece.map(|piece| piece.media_type.clone()).unwrap_or_default(),
            size: piece.map_or(0, |piece| piece.kept.size),
            tag: tag.map(str::to_owned),
        }
    }

    /// Brings the blobs, a few at a time.
    pub(super) async fn fetch(
        self,
        keeper: &Keeper<'_>,
        origin: &impl Origin,
    ) -> Result<(BTreeMap<String, Piece>, Vec<Failed>), ImportError> {
        let mut pieces = self.pieces;
        // a manifest that is also named as a blob is there already
        let blobs: Vec<_> = self
            .blobs
            .into_iter()
            .filter(|blob| !pieces.contains_key(&path_of(&blob.wanted.digest)))
            .collect();
        let total = blobs.iter().fold(0u64, |sum, blob| sum.saturating_add(blob.wanted.size));
        keeper.meter.expect(blobs.len() as u64, total);
        let fetched: Vec<_> = stream::iter(blobs)
            .map(|blob| fetch_one(keeper, origin, blob))
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        pieces.extend(fetched);
        Ok((pieces, self.left_out))
    }
}

async fn fetch_one(
    keeper: &Keeper<'_>,
    origin: &impl Origin,
    blob: Blob,
) -> Result<(String, Piece), ImportError> {
    let kept = keeper.blob(origin, &blob.wanted).await?;
    keeper.meter.item();
    let piece =
        Piece { media_type: blob.media_type, role: blob.role, platform: blob.platform, kept };
    Ok((path_of(&blob.wanted.digest), piece))
}

/// Where an OCI layout keeps a blob.
pub(crate) fn path_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

/// What serves two platforms belongs to neither.
fn meet(known: &mut Option<Platform>, other: Option<&Platform>) {
    if known.as_ref() != other {
        *known = None;
    }
}

/// What a builder's attestation in an index is about.
fn attested(child: &Descriptor) -> Option<&str> {
    let annotations = child.annotations().as_ref()?;
    annotations.get("vnd.docker.reference.digest").map(String::as_str)
}

fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}
