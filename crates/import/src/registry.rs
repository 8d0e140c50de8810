//! Images from a registry: `perennial add docker://…`.
//!
//! Speaks the OCI distribution API with `reqwest` directly: `oci-client` makes its own HTTP client,
//! so that no address could be refused, reads manifests without a bound, and cannot resume a blob.
//! Promises that an image that fails does not affect the others, and that a rerun fetches only the
//! rest. The make-up of an image is [`crate::image`]'s.

mod answer;
mod auth;
mod challenge;
mod credentials;
mod link;
mod pages;
mod pull;
mod repository;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use perennial_manifest::{Draft, Observation, Verdict};
use perennial_oci::{Reference, Repository as Name, Version, subject_of_tag};
use perennial_operation::Notes;
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

/// The images of every tag of a repository, and what its list has besides tags. Statements about
/// images are not among them; they come with their images.
///
/// # Errors
/// [`ImportError`] if the reference names a tag or digest, if the registry lists no tags, or if the
/// import is cancelled.
pub async fn all_tags(
    options: &Options,
    repository: &str,
    auth_file: Option<PathBuf>,
    watch: &dyn Watch,
) -> Result<(Vec<String>, Vec<Failed>), ImportError> {
    let reference: Reference = repository.parse()?;
    if Reference::has_version(repository) {
        let reason = "names one tag or digest, but all tags were asked for";
        return Err(ImportError::Usage(format!("{repository} {reason}")));
    }
    let client = Client::new(options)?;
    let client = client.of_registry(options, reference.repository().registry())?;
    let repository = Repository::new(client, options, &reference, auth_file)?;
    let listed = Meter::new(watch).unless_cancelled(repository.tags()).await?;
    let images = listed.tags.into_iter().filter(|tag| subject_of_tag(tag).is_none());
    let images = images.map(|tag| format!("docker://{}", reference.at(Version::Tag(tag))));
    Ok((images.collect(), listed.failed))
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
            let taken = async {
                let reference: Reference = text.parse()?;
                if !seen.insert(reference.to_string()) {
                    return Ok(None);
                }
                self.one(&reference, &mut repositories).await.map(Some)
            };
            match taken.await {
                Ok(None) => {}
                Ok(Some((draft, left_out))) => {
                    imported.drafts.push(draft);
                    imported.failed.extend(left_out);
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) => {
                    imported.failed.push(error.of(text));
                }
            }
        }
        Ok(())
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
                let registry = reference.repository().registry();
                let client = self.client.of_registry(self.options, registry)?;
                let made = Repository::new(client, self.options, reference, auth_file)?;
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
            .map(|failed| Failed { what: format!("{url}, {}", failed.what), ..failed.clone() })
            .collect();
        let about = About {
            from: url,
            license: self.what.license.clone(),
            notes: Notes::new(self.what.notes.as_deref()).left_out(&image.left_out).into_text(),
            observations: vec![observation],
        };
        Ok((draft(&self.sink, reference, image, about).await?, left_out))
    }
}

#[cfg(test)]
mod tests;
