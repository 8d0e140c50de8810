//! Images that are on this machine: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`.
//!
//! Produces the drafts that a registry would have given for the same images, without observations:
//! an archive is not a witness. Promises that a hostile archive reads nothing outside itself and
//! costs bounded memory.

mod contents;
mod docker;
mod entries;
mod place;
mod saved;
mod source;

use std::collections::BTreeSet;

use perennial_manifest::Draft;
use perennial_oci::{Digest, Reference, Version};
use perennial_operation::{ErrorKind, Notes};
use perennial_store::{Room, Store};

use crate::image::{About, BlobSink, Platforms, draft, gather};
use crate::layout::contents::Root;
use crate::layout::saved::Saved;
use crate::layout::source::Source;
use crate::meter::{Meter, blocking};
use crate::{Failed, ImportError, Imported, Watch};

/// Images of an archive that an error names, at most.
const NAMED: usize = 20;

/// A request for the images of an archive.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// `oci:DIR[:tag]`, `oci-archive:FILE[:tag]` or `docker-archive:FILE[:reference]`, or a place
    /// in the archive's list, from 0 (`:@1`). Without any, all images are imported.
    pub source: String,
    /// The name of the image (`registry/repository[:tag]`), overriding the archive's. Most layouts
    /// state at most a tag.
    pub name: Option<String>,
    /// SPDX licence expression of the releases.
    pub license: Option<String>,
    /// Remarks on the releases.
    pub notes: Option<String>,
}

/// Imports the images of an archive. Images that fail are listed in [`Imported::failed`].
///
/// # Errors
/// [`ImportError`] if the archive cannot be read or has no such image, if the store fails, or if
/// the import is cancelled.
pub async fn layout(
    store: &Store,
    what: &Archive,
    watch: &dyn Watch,
) -> Result<Imported, ImportError> {
    let source: Source = what.source.parse()?;
    let sink = BlobSink::new(store, Meter::new(watch));
    let mut imported = Imported::default();
    sink.meter
        .unless_cancelled(all(&sink, source, store.incoming_room(), what, &mut imported))
        .await?;
    (imported.leases, imported.new_bytes) = sink.finish();
    Ok(imported)
}

async fn all(
    sink: &BlobSink<'_>,
    source: Source,
    room: Room,
    what: &Archive,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let Source { kind, path, wanted } = source;
    let (shown, kind_word) = (path.display().to_string(), kind.as_str());
    let saved = blocking(move || Saved::open(kind, &path, &room)).await?;
    let roots: Vec<&Root> =
        saved.roots().iter().filter(|root| is_wanted(root, wanted.as_deref())).collect();
    if roots.is_empty() {
        if let Some(lost) = saved.left_out().iter().find(|lost| {
            wanted.as_deref().is_none_or(|wanted| {
                let what = &lost.failed.what;
                number(wanted) == Some(lost.number)
                    || what == wanted
                    || what.ends_with(&format!(":{wanted}"))
            })
        }) {
            let Failed { what, reason, kind } = lost.failed.clone();
            return Err(match kind {
                ErrorKind::Verification => ImportError::Mismatch { what, reason },
                _ => ImportError::Upstream { what, reason },
            });
        }
        return Err(no_image(&shown, wanted.as_deref(), saved.roots()));
    }
    if wanted.is_none() {
        imported.failed.extend(saved.left_out().iter().map(|lost| lost.failed.clone()));
    }
    let mut seen = BTreeSet::new();
    for root in &roots {
        let taken = async {
            let reference = name(root, what.name.as_deref(), roots.len() == 1)?;
            if !seen.insert(reference.to_string()) {
                let reason = format!("a second image in it is also called {reference}");
                return Err(ImportError::Upstream { what: shown.clone(), reason });
            }
            one(sink, &saved, &root.digest, &reference, what, kind_word).await
        };
        match taken.await {
            Ok((draft, left_out)) => {
                imported.drafts.push(draft);
                imported.failed.extend(left_out);
            }
            Err(error) if error.is_final() => return Err(error),
            // A command that cannot succeed as it is, rather than an image that failed.
            Err(error @ ImportError::Usage(_)) if roots.len() == 1 => return Err(error),
            Err(error) => {
                let what = root.shown().unwrap_or_else(|| root.digest.to_string());
                imported.failed.push(error.of(what));
            }
        }
    }
    Ok(())
}

async fn one(
    sink: &BlobSink<'_>,
    saved: &Saved,
    root: &Digest,
    reference: &Reference,
    what: &Archive,
    kind: &str,
) -> Result<(Draft, Vec<Failed>), ImportError> {
    let mut image = gather(sink, saved, root, reference.tag(), &Platforms::default()).await?;
    let left_out = std::mem::take(&mut image.left_out);
    // Not the path, which describes this machine rather than the image.
    let from = kind.to_owned();
    let notes = Notes::new(what.notes.as_deref()).left_out(&left_out).into_text();
    let license = what.license.clone();
    let about = About { from, license, notes, observations: Vec::new() };
    Ok((draft(sink, reference, image, about).await?, left_out))
}

/// The error for an archive without the image asked for; names the images that it has.
fn no_image(archive: &str, wanted: Option<&str>, roots: &[Root]) -> ImportError {
    let Some(wanted) = wanted else {
        return ImportError::NoImage(format!("{archive} contains no image"));
    };
    let names: BTreeSet<_> = roots.iter().filter_map(Root::shown).collect();
    if number(wanted).is_some() {
        let all: BTreeSet<_> = roots.iter().map(|root| root.number).collect();
        let has = match (all.first(), all.last()) {
            (Some(first), Some(last)) if first < last => format!("it has @{first} to @{last}"),
            (Some(first), _) => format!("it has @{first}"),
            _ => "it contains no image".to_owned(),
        };
        return ImportError::NoImage(format!("{archive} has no image {wanted}; {has}"));
    }
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let has = match (roots.len(), names.len()) {
        (0, _) => "it contains no image".to_owned(),
        (_, 0) => "its images have no tags; leave the tag out to add all".to_owned(),
        (_, all) if all > NAMED => format!("it has {named} and {} more", all - NAMED),
        _ => format!("it has {named}"),
    };
    ImportError::NoImage(format!("{archive} has no image tagged {wanted:?}; {has}"))
}

/// The place of an image in the list of an archive, from 0, as skopeo writes it: `@1`.
fn number(wanted: &str) -> Option<usize> {
    wanted.strip_prefix('@')?.parse().ok()
}

fn is_wanted(root: &Root, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    if let Some(number) = number(wanted) {
        return root.number == number;
    }
    let same = |name: &String| {
        let parsed = |text: &str| text.parse::<Reference>().ok();
        name == wanted || parsed(name).is_some_and(|name| parsed(wanted) == Some(name))
    };
    root.tag.as_deref() == Some(wanted) || root.image.as_ref().is_some_and(same)
}

/// The name of an image: the user's, or else the archive's.
fn name(root: &Root, given: Option<&str>, only: bool) -> Result<Reference, ImportError> {
    if let Some(given) = given {
        let reference: Reference = given.parse()?;
        if Reference::has_version(given) {
            if !only {
                let reason =
                    "one name for several images; name one of them by `:tag` after the file";
                return Err(ImportError::Usage(reason.into()));
            }
            if reference.digest().is_some_and(|digest| digest != root.digest) {
                return Err(ImportError::Usage(format!("{given} is not {}", root.digest)));
            }
            return Ok(reference);
        }
        let version = match &root.tag {
            Some(tag) => tag
                .parse::<Version>()
                .map_err(|error| ImportError::Usage(format!("{tag:?} is not a tag: {error}")))?,
            None => Version::Digest(root.digest),
        };
        return Ok(reference.at(version));
    }
    match &root.image {
        Some(image) => Ok(image.parse()?),
        None => {
            let tag = root.tag.as_deref().filter(|tag| tag.parse::<Version>().is_ok());
            Err(ImportError::Usage(format!(
                "it does not say which repository the image is of; name it: `--ref \
                 REGISTRY/REPOSITORY:{}`",
                tag.unwrap_or("TAG")
            )))
        }
    }
}

/// Opens a tar as both kinds of archive, for the fuzz targets.
pub(crate) fn open_both_ways(tar: &std::path::Path) -> Result<(), ImportError> {
    let room = Room::outside(&std::env::temp_dir());
    let docker = Saved::open(source::Kind::DockerArchive, tar, &room);
    let oci = Saved::open(source::Kind::OciArchive, tar, &room);
    docker.and(oci).map(drop)
}
