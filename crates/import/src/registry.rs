//! Images from a registry: `perennial add docker://…`.
//!
//! Speaks the OCI distribution API with `reqwest` directly: `oci-client` makes its own HTTP client,
//! so that no address could be refused, reads manifests without a bound, and cannot resume a blob.
//! Promises that an image that fails does not affect the others, and that a rerun fetches only the
//! rest. The make-up of an image is [`crate::image`]'s.

mod answer;
mod auth;
mod credentials;
mod pages;
mod pull;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use perennial_manifest::{Draft, Observation, Verdict};
use perennial_oci::{Reference, Repository as Name, Version, subject_of_tag};
use perennial_store::Store;

use crate::client::Client;
use crate::image::{About, BlobSink, Platforms, draft, gather};
use crate::meter::Meter;
use crate::registry::repository::Repository;
use crate::{Failed, ImportError, Imported, Options, Watch};

/// A request for images of registries.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// `docker://registry/repository:tag` or `…@sha256:…`.
    pub references: Vec<String>,
    /// Every tag of each repository.
    pub all_tags: bool,
    /// `os/arch` or `os/arch/variant`; an empty list means all. An index is kept whole, so it still
    /// names the platforms that were left out.
    pub platforms: Vec<String>,
    /// SPDX licence expression of the releases.
    pub license: Option<String>,
    /// Remarks on the releases.
    pub notes: Option<String>,
    /// A credentials file, read instead of podman's and docker's.
    pub auth_file: Option<PathBuf>,
}

/// Imports images. Images that fail are listed in [`Imported::failed`].
///
/// # Errors
/// [`ImportError`] if a platform is malformed, if HTTPS cannot be set up, if the store fails, or if
/// the import is cancelled.
pub async fn images(
    store: &Store,
    options: &Options,
    what: &Images,
    watch: &dyn Watch,
) -> Result<Imported, ImportError> {
    let platforms = Platforms::parse(&what.platforms)?;
    let session = Session {
        client: Client::new(options)?,
        options,
        what,
        platforms,
        sink: BlobSink::new(store, Meter::new(watch)),
    };
    let mut imported = Imported::default();
    session.sink.meter.unless_cancelled(session.all(&mut imported)).await?;
    (imported.leases, imported.new_bytes) = session.sink.finish();
    Ok(imported)
}

/// An import in progress.
struct Session<'a> {
    client: Client,
    options: &'a Options,
    what: &'a Images,
    platforms: Platforms,
    sink: BlobSink<'a>,
}

impl Session<'_> {
    async fn all(&self, imported: &mut Imported) -> Result<(), ImportError> {
        let mut repositories = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for text in &self.what.references {
            let references = match self.expand(text, &mut repositories).await {
                Ok(references) => references,
                Err(error) if error.is_final() => return Err(error),
                Err(error) => {
                    imported.failed.push(Failed { what: text.clone(), reason: error.to_string() });
                    continue;
                }
            };
            for reference in references {
                if !seen.insert(reference.to_string()) {
                    continue;
                }
                match self.one(&reference, &mut repositories).await {
                    Ok((draft, left_out)) => {
                        imported.drafts.push(draft);
                        imported.failed.extend(left_out);
                    }
                    Err(error) if error.is_final() => return Err(error),
                    Err(error) => {
                        let what = format!("docker://{reference}");
                        imported.failed.push(Failed { what, reason: error.to_string() });
                    }
                }
            }
        }
        Ok(())
    }

    /// The images that a reference stands for: itself, or all tags of its repository.
    async fn expand(
        &self,
        text: &str,
        repositories: &mut BTreeMap<Name, Repository>,
    ) -> Result<Vec<Reference>, ImportError> {
        let reference: Reference = text.parse()?;
        if !self.what.all_tags {
            return Ok(vec![reference]);
        }
        if Reference::has_version(text) {
            return Err(ImportError::Usage(
                "names one tag or digest, but all tags were asked for".into(),
            ));
        }
        let tags = self.repository(&reference, repositories)?.tags().await?;
        // Statements about images are fetched with their images.
        let images = tags.iter().filter(|tag| subject_of_tag(tag).is_none());
        let at = |tag: &String| match tag.parse() {
            Ok(Version::Tag(tag)) => Ok(reference.at(Version::Tag(tag))),
            _ => {
                let reason = format!("lists {tag:?}, which is not a tag");
                let what = reference.repository().to_string();
                Err(ImportError::Upstream { what, reason })
            }
        };
        images.map(at).collect()
    }

    fn repository<'r>(
        &self,
        reference: &Reference,
        repositories: &'r mut BTreeMap<Name, Repository>,
    ) -> Result<&'r Repository, ImportError> {
        match repositories.entry(reference.repository().clone()) {
            std::collections::btree_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let auth_file = self.what.auth_file.clone();
                let made =
                    Repository::new(self.client.clone(), self.options, reference, auth_file)?;
                Ok(place.insert(made))
            }
        }
    }

    async fn one(
        &self,
        reference: &Reference,
        repositories: &mut BTreeMap<Name, Repository>,
    ) -> Result<(Draft, Vec<Failed>), ImportError> {
        let repository = self.repository(reference, repositories)?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let found = repository.resolve(reference).await?;
        let url = format!("docker://{reference}");
        let pull = pull::Pull { repository };
        let image =
            gather(&self.sink, &pull, &found.digest, reference.tag(), &self.platforms).await?;
        let root = image.root_stored();
        let observation = Observation {
            url: url.clone(),
            fetched_at: at,
            status: Some(found.status),
            etag: None,
            last_modified: None,
            size: root.map(|root| root.size),
            blake3: root.map(|root| root.blob),
            sha256: root.map(|root| root.sha256),
            verdict: Verdict::Same,
        };
        let left_out = image
            .left_out
            .iter()
            .map(|failed| Failed {
                what: format!("{url}, {}", failed.what),
                reason: failed.reason.clone(),
            })
            .collect();
        let about = About {
            from: url,
            license: self.what.license.clone(),
            notes: self.what.notes.clone(),
            observations: vec![observation],
        };
        Ok((draft(&self.sink, reference, image, about).await?, left_out))
    }
}

#[cfg(test)]
mod tests;
