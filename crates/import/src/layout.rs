//! Images that are on this machine: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`.
//!
//! Gives the drafts that a registry would have given for the same images, except where they were seen: an archive is no
//! witness. Promises that an archive from a stranger reads nothing outside itself and costs bounded memory.

mod docker;
mod entries;
mod place;
mod saved;
mod source;

use std::collections::BTreeSet;

use oci_spec::image::Digest;
use perennial_manifest::Draft;
use perennial_store::Store;

use crate::blocking::blocking;
use crate::image::{
    About, Keeper, Platforms, Reference, draft, gather, has_version, parse_reference, with_tag,
};
use crate::meter::Meter;
use crate::{Failed, ImportError, Imported, Watch};
use saved::{Root, Saved};
use source::Source;

/// Which images of which archive.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// `oci:DIR[:tag]`, `oci-archive:FILE[:tag]` or `docker-archive:FILE[:reference]`. Without a tag, all images in it.
    pub source: String,
    /// What the image is to be known by (`registry/repository[:tag]`), instead of what the archive says; most layouts say
    /// a tag at most.
    pub name: Option<String>,
    /// SPDX licence expression of the releases.
    pub license: Option<String>,
    /// Remarks on the releases.
    pub notes: Option<String>,
}

/// Brings the images of an archive in; those that cannot be had are in [`Imported::failed`].
pub async fn layout(
    store: &Store,
    what: &Archive,
    watch: &dyn Watch,
) -> Result<Imported, ImportError> {
    let source: Source = what.source.parse()?;
    let keeper = Keeper::new(store, Meter::new(watch));
    let mut imported = Imported::default();
    keeper.meter.unless_cancelled(all(&keeper, source, what, &mut imported)).await?;
    (imported.leases, imported.new_bytes) = keeper.finish();
    Ok(imported)
}

async fn all(
    keeper: &Keeper<'_>,
    source: Source,
    what: &Archive,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let Source { kind, path, wanted } = source;
    let (shown, kind_word) = (path.display().to_string(), kind.as_str());
    let saved = blocking(move || Saved::open(kind, &path)).await?;
    let roots: Vec<&Root> =
        saved.roots().iter().filter(|root| is_wanted(root, wanted.as_deref())).collect();
    if roots.is_empty() {
        let names: BTreeSet<_> = saved.roots().iter().filter_map(Root::shown).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let reason = match wanted {
            Some(wanted) => format!("there is no {wanted:?} in it; there is: {names}"),
            None => "there is no image in it".to_owned(),
        };
        return Err(ImportError::Gone { what: shown, reason });
    }
    let mut seen = BTreeSet::new();
    for root in &roots {
        let taken = async {
            let reference = name(root, what.name.as_deref(), roots.len() == 1)?;
            if !seen.insert(reference.to_string()) {
                let reason = format!("a second image in it is called {reference}, too");
                return Err(ImportError::Upstream { what: shown.clone(), reason });
            }
            one(keeper, &saved, &root.digest, &reference, what, kind_word).await
        };
        match taken.await {
            Ok((draft, left_out)) => {
                imported.drafts.push(draft);
                imported.failed.extend(left_out);
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                let what = root.shown().unwrap_or_else(|| root.digest.to_string());
                imported.failed.push(Failed { what, reason: error.to_string() });
            }
        }
    }
    Ok(())
}

async fn one(
    keeper: &Keeper<'_>,
    saved: &Saved,
    root: &Digest,
    reference: &Reference,
    what: &Archive,
    kind: &str,
) -> Result<(Draft, Vec<Failed>), ImportError> {
    let mut image = gather(keeper, saved, root, reference.tag(), &Platforms::default()).await?;
    let left_out = std::mem::take(&mut image.left_out);
    // not the path: it says something of this machine and nothing of the image
    let from = kind.to_owned();
    let (license, notes) = (what.license.clone(), what.notes.clone());
    let about = About { from, license, notes, observations: Vec::new() };
    Ok((draft(keeper, reference, image, about).await?, left_out))
}

fn is_wanted(root: &Root, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let same = |name: &String| {
        name == wanted
            || parse_reference(name)
                .is_ok_and(|name| parse_reference(wanted).is_ok_and(|it| it == name))
    };
    root.tag.as_deref() == Some(wanted) || root.image.as_ref().is_some_and(same)
}

/// What an image is called: as the user says, else as the archive does.
fn name(root: &Root, given: Option<&str>, only: bool) -> Result<Reference, ImportError> {
    if let Some(given) = given {
        let reference = parse_reference(given)?;
        if has_version(given) {
            if !only {
                let reason =
                    "one name for several images; name one of them by `:tag` after the file";
                return Err(ImportError::Usage(reason.into()));
            }
            if reference.digest().is_some_and(|digest| digest != root.digest.as_ref()) {
                return Err(ImportError::Usage(format!("{given} is not {}", root.digest)));
            }
            return Ok(reference);
        }
        return match &root.tag {
            Some(tag) => with_tag(&reference, tag),
            None => Ok(reference.clone_with_digest(root.digest.to_string())),
        };
    }
    match &root.image {
        Some(image) => parse_reference(image),
        None => Err(ImportError::Usage(
            "the archive does not say what the image is called; give a name (`registry/repository:tag`)"
                .into(),
        )),
    }
}
