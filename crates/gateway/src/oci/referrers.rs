//! What refers to a manifest: signatures, SBOMs and the like that name it as their `subject`.
//!
//! Memo of the manifests that are held of releases by trusted publishers: anybody could flood it otherwise.

use std::collections::HashMap;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_manifest::{Artifact, BlobId};
use perennial_store::{Store, StoreError};
use serde_json::json;

use super::Registry;
use super::digest::Digest;
use super::digest_index::{digest_of, is_manifest};
use super::error::OciError;
use super::manifest::{Descriptor, MAX_MANIFEST, Manifest, OCI_INDEX};
use super::name::Named;
use super::snapshot::{Snapshot, View};

/// Most manifests whose subject is remembered.
const REMEMBERED: usize = 50_000;
/// Most manifests that are read, and releases that are looked through, for one request.
const LOOKS: usize = 2000;
/// Most referrers in one answer.
const MOST: usize = 1000;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// What manifests are about, as far as they were read.
#[derive(Debug, Default)]
pub(crate) struct Subjects(HashMap<BlobId, Option<(Digest, Descriptor)>>);

impl Subjects {
    /// What a listed manifest is about and how it is described; none if it is about nothing or not held.
    fn of(
        &mut self,
        store: &Store,
        artifact: &Artifact,
    ) -> Result<Option<&(Digest, Descriptor)>, StoreError> {
        let blob = artifact.blake3;
        if !self.0.contains_key(&blob) {
            if artifact.size > MAX_MANIFEST {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            match store.copy_out(&blob, &mut bytes) {
                Ok(_) => {}
                Err(
                    StoreError::NotHeld(_) | StoreError::Denied(_) | StoreError::Corrupt { .. },
                ) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            if self.0.len() >= REMEMBERED {
                self.0.clear();
            }
            self.0.insert(blob, read(artifact, &bytes));
        }
        Ok(self.0.get(&blob).and_then(Option::as_ref))
    }

    fn knows(&self, blob: &BlobId) -> bool {
        self.0.contains_key(blob)
    }
}

fn read(artifact: &Artifact, bytes: &[u8]) -> Option<(Digest, Descriptor)> {
    let digest = digest_of(artifact).filter(|digest| digest.is_of(bytes))?;
    let manifest = Manifest::parse(bytes).ok()?;
    let subject = manifest.subject.as_ref()?.digest()?;
    let kind = manifest.kind().map(str::to_owned);
    let mut descriptor = Descriptor::new(
        manifest.media_type(Some(&artifact.media_type)),
        &digest,
        bytes.len() as u64,
    );
    (descriptor.artifact_type, descriptor.annotations) = (kind, manifest.annotations);
    Some((subject, descriptor))
}

impl Snapshot {
    fn referrers(
        &mut self,
        name: &Named,
        subject: &Digest,
        view: &View<'_>,
    ) -> Result<Vec<Descriptor>, StoreError> {
        let meant = self.catalog.meant(name);
        let releases =
            meant.iter().filter_map(|r| self.catalog.get(r)).flat_map(|i| i.releases.iter().rev());
        let ours = releases.filter(|image| (view.trusted)(&image.publisher));
        let mut found: Vec<Descriptor> = Vec::new();
        let mut looks = 0;
        for image in ours.take(LOOKS) {
            let Some(list) = view.list(&image.list)? else { continue };
            for artifact in list.iter().filter(|artifact| is_manifest(artifact)) {
                looks += usize::from(!self.subjects.knows(&artifact.blake3));
                if looks > LOOKS || found.len() >= MOST {
                    return Ok(found);
                }
                if let Some((about, descriptor)) = self.subjects.of(view.store, artifact)?
                    && about == subject
                    && !found.iter().any(|known| known.digest == descriptor.digest)
                {
                    found.push(descriptor.clone());
                }
            }
        }
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        Ok(found)
    }
}

impl Registry {
    /// `GET /v2/<name>/referrers/<digest>`: never a 404, which would send clients after tags of a fallback.
    pub(crate) async fn referrers(
        &self,
        name: &Named,
        subject: &str,
        kind: Option<&str>,
    ) -> Result<Response, OciError> {
        let subject = Digest::parse(subject).ok_or_else(OciError::digest)?;
        let name = name.clone();
        let mut found =
            self.ask(move |snapshot, view| snapshot.referrers(&name, &subject, view)).await?;
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
