//! Fetches an image and the statements about it: signatures, attestations, SBOMs.
//!
//! Promises that the result and its order depend on the origin's content, not on the order of
//! arrival, and that a statement that cannot be fetched does not cost the image.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use perennial_oci::{Descriptor, Digest, MAX_MANIFESTS, Stored};

use crate::image::walk::{Piece, Walk};
use crate::image::{Attached, BlobSink, Origin, Platforms};
use crate::{Failed, ImportError};

/// Most concurrent requests to an origin.
const PARALLEL: usize = 4;
/// The number of files from which no more statements are added, well below the limit of a list.
const MAX_PIECES: usize = 50_000;
/// Levels of statements about statements, such as a signature of an image's SBOM.
const MAX_LEVELS: usize = 2;

/// A stored image, with the statements about it.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) pieces: BTreeMap<Digest, Piece>,
    pub(crate) root: Descriptor,
    /// The statements about it, in the order of their digests.
    pub(crate) attached: Vec<Descriptor>,
    /// Content that was left out, with the reason.
    pub(crate) left_out: Vec<Failed>,
}

impl Gathered {
    /// The stored root manifest.
    pub(crate) fn root_stored(&self) -> Option<Stored> {
        self.pieces.get(&self.root.digest).map(|piece| piece.stored)
    }
}

/// A stored statement, with its parts.
struct Taken {
    entry: Descriptor,
    manifests: Vec<Digest>,
    pieces: BTreeMap<Digest, Piece>,
    left_out: Vec<Failed>,
}

/// Fetches an image and its statements into the store.
pub(crate) async fn gather(
    sink: &BlobSink<'_>,
    origin: &impl Origin,
    root: &Digest,
    tag: Option<&str>,
    platforms: &Platforms,
) -> Result<Gathered, ImportError> {
    let walk = Walk::image(sink, origin, root, platforms).await?;
    let mut subjects = walk.manifests().to_vec();
    let entry = walk.entry(tag).ok_or_else(|| lost(root))?;
    let mut seen: BTreeSet<Digest> = subjects.iter().copied().collect();
    let (mut pieces, mut left_out) = walk.fetch(sink, origin, platforms).await?;
    let mut attached: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    let mut too_many = 0_usize;
    for _ in 0..MAX_LEVELS {
        let mut next = Vec::new();
        let said: Vec<_> = stream::iter(subjects)
            .map(|digest| about(origin, digest))
            .buffered(PARALLEL)
            .collect()
            .await;
        for (said, failed) in said {
            left_out.extend(failed);
            for said in said {
                // A statement found twice keeps the tag that it was found by.
                if let Some(known) = attached.get_mut(&said.digest) {
                    if let Some(tag) = said.tag {
                        let named = perennial_oci::REF_NAME.to_owned();
                        known.annotations.entry(named).or_insert(tag);
                    }
                    continue;
                }
                let full = pieces.len() >= MAX_PIECES || attached.len() >= MAX_MANIFESTS;
                if full && !seen.contains(&said.digest) {
                    too_many += 1;
                    continue;
                }
                if !seen.insert(said.digest) {
                    continue;
                }
                match take(sink, origin, &said).await {
                    Ok(taken) => {
                        for (digest, piece) in taken.pieces {
                            pieces.entry(digest).or_insert(piece);
                        }
                        left_out.extend(taken.left_out);
                        attached.insert(said.digest, taken.entry);
                        next.extend(taken.manifests);
                    }
                    Err(error) if error.is_final() => return Err(error),
                    Err(error) => {
                        let what = said.tag.unwrap_or_else(|| said.digest.to_string());
                        left_out.push(error.of(what));
                    }
                }
            }
        }
        subjects = next;
    }
    if too_many > 0 {
        let reason = format!(
            "{too_many} signatures and other statements are more than a release takes; left out"
        );
        left_out.push(Failed::new(root.to_string(), reason));
    }
    let attached = attached.into_values().collect();
    Ok(Gathered { pieces, root: entry, attached, left_out })
}

async fn take(
    sink: &BlobSink<'_>,
    origin: &impl Origin,
    said: &Attached,
) -> Result<Taken, ImportError> {
    let walk = Walk::statement(sink, origin, &said.digest).await?;
    let entry = walk.entry(said.tag.as_deref()).ok_or_else(|| lost(&said.digest))?;
    let manifests = walk.manifests().to_vec();
    let (pieces, left_out) = walk.fetch(sink, origin, &Platforms::default()).await?;
    Ok(Taken { entry, manifests, pieces, left_out })
}

async fn about(origin: &impl Origin, digest: Digest) -> (Vec<Attached>, Vec<Failed>) {
    let (found, failed) = origin.attached(&digest).await;
    let failed = failed
        .iter()
        .map(|error| error.of(format!("signatures and other statements about {digest}")));
    (found, failed.collect())
}

/// The error for a walk whose root is not among its manifests, which would be a defect.
fn lost(root: &Digest) -> ImportError {
    let reason = "the walk ended without its root".to_owned();
    ImportError::Upstream { what: root.to_string(), reason }
}
