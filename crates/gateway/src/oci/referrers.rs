//! Referrers of a manifest: signatures, SBOMs and other manifests that name it as their `subject`.
//!
//! Only held manifests of releases by trusted publishers are searched: otherwise any publisher
//! could flood the response.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_manifest::{Artifact, BlobId};
use perennial_oci::{Descriptor, Digest, MAX_MANIFEST, Manifest, OCI_INDEX};
use perennial_store::{Store, StoreError};
use serde_json::json;

use super::Registry;
use super::digest_index::{digest_of, is_manifest};
use super::error::OciError;
use super::image_catalog::ImageRelease;
use super::name::Named;
use super::snapshot::View;
use crate::bounded::Bounded;

/// Manifests whose subject is remembered, at most.
const REMEMBERED: usize = 50_000;
/// Manifests read, and releases searched, for one request, at most.
const LOOKS: usize = 2000;
/// Referrers in one response, at most.
const MOST: usize = 1000;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// A manifest's subject, and the descriptor of the manifest itself.
type Referrer = (Digest, Descriptor);

/// The subjects of the manifests read most recently; `None` for manifests without a subject.
#[derive(Debug)]
pub(crate) struct Subjects(Bounded<BlobId, Option<Arc<Referrer>>>);

impl Default for Subjects {
    fn default() -> Self {
        Self(Bounded::new(REMEMBERED))
    }
}

impl Subjects {
    /// The subject and descriptor of a listed manifest; `None` if it has no subject or is not held.
    /// Reads the manifest unless it is remembered; `looks` counts the reads.
    fn of(
        &self,
        store: &Store,
        artifact: &Artifact,
        looks: &mut usize,
    ) -> Result<Option<Arc<Referrer>>, StoreError> {
        let blob = artifact.blake3;
        if let Some(known) = self.0.get(&blob) {
            return Ok(known);
        }
        *looks += 1;
        if artifact.size > MAX_MANIFEST || *looks > LOOKS {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        match store.copy_out(&blob, &mut bytes) {
            Ok(_) => {}
            Err(StoreError::NotHeld(_) | StoreError::Denied(_) | StoreError::Corrupt { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let referrer = read(artifact, &bytes).map(Arc::new);
        self.0.insert(blob, referrer.clone(), 1, Instant::now());
        Ok(referrer)
    }
}

fn read(artifact: &Artifact, bytes: &[u8]) -> Option<Referrer> {
    let digest = digest_of(artifact).filter(|digest| digest.matches(bytes))?;
    let manifest = Manifest::parse(bytes).ok()?;
    let subject = manifest.subject?;
    let kind = manifest.artifact_type().map(str::to_owned);
    let mut descriptor = Descriptor::new(manifest.media_type(), digest, bytes.len() as u64);
    (descriptor.artifact_type, descriptor.annotations) = (kind, manifest.annotations);
    Some((subject, descriptor))
}

impl View {
    fn referrers(
        &self,
        subjects: &Subjects,
        name: &Named,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, StoreError> {
        let releases = self.snapshot.releases(name).rev();
        let yanked = |image: &&ImageRelease| {
            self.snapshot.images.is_yanked(&image.publisher, &image.release)
        };
        let ours = releases
            .filter(|image| self.snapshot.trusts(&image.publisher))
            .filter(|image| !yanked(image));
        let mut found: Vec<Descriptor> = Vec::new();
        let mut looks = 0;
        for image in ours.take(LOOKS) {
            let Some(list) = self.list(&image.list)? else { continue };
            for artifact in list.iter().filter(|artifact| is_manifest(artifact)) {
                if looks > LOOKS || found.len() >= MOST {
                    return Ok(found);
                }
                if let Some(referrer) = subjects.of(&self.store, artifact, &mut looks)?
                    && referrer.0 == *subject
                    && !found.iter().any(|known| known.digest == referrer.1.digest)
                {
                    found.push(referrer.1.clone());
                }
            }
        }
        found.sort_by_key(|referrer| referrer.digest);
        Ok(found)
    }
}

impl Registry {
    /// `GET /v2/<name>/referrers/<digest>`. Never answers 404, which makes clients fall back to
    /// tags.
    pub(crate) async fn referrers(
        &self,
        name: &Named,
        subject: &str,
        kind: Option<&str>,
    ) -> Result<Response, OciError> {
        let subject = subject.parse::<Digest>().map_err(|_| OciError::digest())?;
        let (name, subjects) = (name.clone(), Arc::clone(&self.subjects));
        let snapshot = self.snapshot().await?;
        let question = move |view: &View| view.referrers(&subjects, &name, &subject);
        let mut found = self.search(&snapshot, question).await?;
        if let Some(kind) = kind {
            found.retain(|descriptor| descriptor.artifact_type.as_deref() == Some(kind));
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found});
        let mut response = (StatusCode::OK, index.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
        if kind.is_some() {
            response
                .headers_mut()
                .insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
        }
        Ok(response)
    }
}
