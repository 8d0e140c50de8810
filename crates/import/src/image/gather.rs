//! An image and what is said about it: signatures, attestations, bills of materials.
//!
//! Promises that what is gathered, and its order, depend on what the origin has and not on what arrived first; and that a
//! statement about an image which cannot be had costs the statement, not the image.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use oci_spec::image::Digest;

use super::keeper::Kept;
use super::tree::{Entry, MAX_MANIFESTS, Piece, Tree, path_of};
use super::{Keeper, Origin, Platforms};
use crate::{Failed, ImportError};

/// Questions to an origin at a time.
const PARALLEL: usize = 4;
/// Where no more statements are taken along: well below what a list may hold.
const MAX_PIECES: usize = 50_000;
/// A signature of a bill of materials of an image.
const MAX_LEVELS: usize = 2;

/// An image that is in the store.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) pieces: BTreeMap<String, Piece>,
    pub(crate) root: Entry,
    /// What is said about it, in the order of their digests.
    pub(crate) attached: Vec<Entry>,
    /// What was left out, and why.
    pub(crate) left_out: Vec<Failed>,
    pub(crate) origins: Vec<String>,
}

impl Gathered {
    /// The root manifest, where it is kept.
    pub(crate) fn root_kept(&self) -> Option<Kept> {
        self.pieces.get(&path_of(&self.root.digest)).map(|piece| piece.kept)
    }
}

/// Brings an image into the store.
pub(crate) async fn gather(
    keeper: &Keeper<'_>,
    origin: &impl Origin,
    root: &Digest,
    tag: Option<&str>,
    platforms: &Platforms,
) -> Result<Gathered, ImportError> {
    let tree = Tree::walk(keeper, origin, root, Some(platforms)).await?;
    let mut subjects = tree.manifests.clone();
    let entry = tree.entry(root, tag);
    let mut seen: BTreeSet<String> = subjects.iter().map(ToString::to_string).collect();
    let (mut pieces, mut left_out) = tree.fetch(keeper, origin).await?;
    let mut attached: BTreeMap<String, Entry> = BTreeMap::new();
    for _ in 0..MAX_LEVELS {
        let mut next = Vec::new();
        let said: Vec<_> = stream::iter(subjects)
            .map(|digest| about(origin, digest))
            .buffered(PARALLEL)
            .collect()
            .await;
        for said in said {
            let said = match said {
                Ok(said) => said,
                Err(failed) => {
                    left_out.push(failed);
                    continue;
                }
            };
            for said in said {
                // found twice, it keeps the tag it was found by
                if let Some(known) = attached.get_mut(said.digest.as_ref()) {
                    known.tag = known.tag.take().or(said.tag);
                    continue;
                }
                let full = pieces.len() >= MAX_PIECES || attached.len() >= MAX_MANIFESTS;
                if full || !seen.insert(said.digest.to_string()) {
                    continue;
                }
                let taken = async {
                    let tree = Tree::walk(keeper, origin, &said.digest, None).await?;
                    let entry = tree.entry(&said.digest, said.tag.as_deref());
                    let manifests = tree.manifests.clone();
                    tree.fetch(keeper, origin).await.map(|fetched| (entry, manifests, fetched))
                };
                match taken.await {
                    Ok((entry, manifests, (more, skipped))) => {
                        for (path, piece) in more {
                            pieces.entry(path).or_insert(piece);
                        }
                        left_out.extend(skipped);
                        attached.insert(entry.digest.to_string(), entry);
                        next.extend(manifests);
                    }
                    Err(error) if error.is_final() => return Err(error),
                    Err(error) => {
                        let what = said.tag.unwrap_or_else(|| said.digest.to_string());
                        left_out.push(Failed { what, reason: error.to_string() });
                    }
                }
            }
        }
        subjects = next;
    }
    let attached = attached.into_values().collect();
    Ok(Gathered { pieces, root: entry, attached, left_out, origins: origin.origins() })
}

async fn about(origin: &impl Origin, digest: Digest) -> Result<Vec<super::Attached>, Failed> {
    origin.attached(&digest).await.map_err(|error| Failed {
        what: format!("signatures and other statements about {digest}"),
        reason: error.to_string(),
    })
}
