//! Pushing manifests: a tag becomes a signed release of the whole image, as an OCI image layout;
//! deleting yanks the release.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_manifest::{Draft, ReleaseId};
use perennial_oci::{Digest, MAX_MANIFEST, Manifest, Repository, Version, VersionError};
use perennial_store::{Added, Lease};

use super::Registry;
use super::closure::Closure;
use super::error::OciError;
use super::image_catalog::{ImageRelease, Statement};
use super::name::Named;
use super::pull::{CONTENT_DIGEST, RegistryRequest, only};
use super::push::with;
use crate::blocking::blocking;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The tag or digest that a manifest is pushed or deleted by.
fn version(text: &str) -> Result<Version, OciError> {
    text.parse().map_err(|error| match error {
        VersionError::Tag => OciError::invalid(format!("{text:?} is not a tag: {error}")),
        VersionError::Digest(_) => OciError::digest(),
    })
}

/// Rejects a manifest whose `Content-Type` differs from the media type in its bytes: clients must
/// send that one, and parameters are ignored (distribution specification 1.1, "Pushing
/// Manifests").
fn types_agree(headers: &HeaderMap, manifest: &Manifest) -> Result<(), OciError> {
    let told = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let told = told.map(|told| told.split(';').next().unwrap_or_default().trim());
    let is_vague =
        |told: &str| matches!(told, "" | "application/octet-stream" | "application/json");
    match (told, manifest.declared_media_type()) {
        (Some(told), Some(own)) if told != own => {
            Err(OciError::invalid(format!("its mediaType is {own} and its Content-Type {told}")))
        }
        (Some(told), None) if told != manifest.media_type() && !is_vague(told) => {
            Err(OciError::invalid(format!(
                "it has no mediaType, which makes it {}, and its Content-Type is {told}: write the \
                 mediaType into it",
                manifest.media_type()
            )))
        }
        _ => Ok(()),
    }
}

impl Registry {
    /// `PUT` and `DELETE /v2/<name>/manifests/<reference>`.
    pub(crate) async fn change_manifest(
        &self,
        asked: &RegistryRequest<'_>,
        name: Named,
        reference: &str,
        body: Body,
    ) -> Result<Response, OciError> {
        let reference = version(reference)?;
        match *asked.method {
            Method::PUT => self.put_manifest(asked, name, reference, body).await,
            // DELETE, the only method left.
            _ => self.untag(name, reference).await,
        }
    }

    async fn put_manifest(
        &self,
        asked: &RegistryRequest<'_>,
        name: Named,
        reference: Version,
        body: Body,
    ) -> Result<Response, OciError> {
        let limit = usize::try_from(MAX_MANIFEST).unwrap_or(usize::MAX);
        let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
            let message = format!("the manifest is longer than {MAX_MANIFEST} bytes, or broke off");
            OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
        })?;
        let manifest = Manifest::parse(&bytes)
            .map_err(|error| OciError::invalid(format!("the manifest {error}")))?;
        types_agree(asked.headers, &manifest)?;
        let digest = match &reference {
            Version::Digest(digest) if digest.matches(&bytes) => *digest,
            Version::Digest(digest) => {
                let message =
                    format!("the {} bytes received do not have the digest {digest}", bytes.len());
                return Err(OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
            }
            Version::Tag(_) => Digest::sha256_of(&bytes),
        };
        let repository = name.clone().target().ok_or_else(OciError::name)?;
        // Everything is checked before anything is stored.
        let mut closure = self.close_over(digest, bytes.len() as u64, &manifest).await?;
        let (added, lease) = self.add(vec![bytes.to_vec()]).await?;
        let added =
            *added.first().ok_or_else(|| OciError::internal(&"the manifest was not stored"))?;
        closure.root_stored(&added);
        match &reference {
            Version::Digest(_) if manifest.subject.is_none() => {
                let media_type = manifest.media_type().to_owned();
                self.pending.keep(digest, added, media_type, lease, Instant::now());
                self.pending.note(name, Instant::now());
            }
            _ => self.publish(&repository, &reference, closure).await?,
        }
        let mut headers = vec![
            (header::LOCATION, asked.location(&format!("/manifests/{digest}"))),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        headers.extend(manifest.subject.map(|subject| (SUBJECT, subject.to_string())));
        Ok(with(StatusCode::CREATED, headers))
    }

    /// Signs a release of an image, unless this node's newest release says the same.
    async fn publish(
        &self,
        repository: &Repository,
        reference: &Version,
        closure: Closure,
    ) -> Result<(), OciError> {
        if self.says_so(repository, reference, closure.root()).await? {
            self.pending.release(closure.digests());
            return Ok(());
        }
        let (version, tag) = match reference {
            Version::Tag(tag) => (tag.clone(), Some(tag.as_str())),
            Version::Digest(digest) => (digest.to_string(), None),
        };
        let store = self.gateway.backend.store();
        let _kept = store.lease(closure.blobs());
        let (artifacts, _layout) = self.lay_out(&closure, tag).await?;
        let tags = tag.map(|tag| (format!("{repository}:{tag}"), closure.root().to_string()));
        let draft = Draft {
            purl: repository
                .purl(&version)
                .map_err(|error| OciError::invalid(error.to_string()))?,
            license: None,
            artifacts,
            from: "pushed to this node's registry".into(),
            tags: tags.into_iter().collect::<BTreeMap<_, _>>(),
            observations: Vec::new(),
            notes: None,
        };
        self.gateway.backend.sign(draft).await?;
        self.pending.release(closure.digests());
        Ok(())
    }

    /// Returns whether the newest release of a name by this node has this digest.
    async fn says_so(
        &self,
        repository: &Repository,
        reference: &Version,
        digest: Digest,
    ) -> Result<bool, OciError> {
        let (own, snapshot) = (self.gateway.backend.publisher(), self.snapshot().await?);
        let Some(image) = snapshot.images.get(repository) else { return Ok(false) };
        let valid = |release: &ReleaseId| !snapshot.images.is_yanked(&own, release);
        Ok(match reference {
            Version::Tag(tag) => {
                let said = image.tags.get(tag).into_iter().flatten();
                let ours = said.filter(|said| said.publisher == own && valid(&said.release));
                ours.max_by_key(|said| said.seq).is_some_and(|said| said.digest == digest)
            }
            Version::Digest(_) => image.releases.iter().any(|release| {
                release.publisher == own
                    && valid(&release.release)
                    && release.roots.contains(&digest)
            }),
        })
    }

    /// Yanks this node's releases of a tag or digest. The bytes stay, and are still served by
    /// digest.
    async fn untag(&self, name: Named, reference: Version) -> Result<Response, OciError> {
        let (own, snapshot) = (self.gateway.backend.publisher(), self.snapshot().await?);
        only(snapshot.select(&name), &name)?;
        let images = snapshot.images.named(&name);
        let mut ours: Vec<ReleaseId> = Vec::new();
        for image in &images {
            match &reference {
                Version::Tag(tag) => {
                    let said = image.tags.get(tag).into_iter().flatten();
                    let said = said.filter(|said| said.publisher == own);
                    ours.extend(said.map(|said| said.release));
                }
                Version::Digest(digest) => {
                    let of = |r: &&ImageRelease| r.publisher == own && r.roots.contains(digest);
                    ours.extend(image.releases.iter().filter(of).map(|release| release.release));
                }
            }
        }
        ours.retain(|release| !snapshot.images.is_yanked(&own, release));
        ours.sort_unstable();
        ours.dedup();
        let mut others: Vec<&str> = Vec::new();
        if let Version::Tag(tag) = &reference {
            for image in images {
                let shares = |said: &[Statement]| said.iter().any(|s| ours.contains(&s.release));
                let with = image.tags.iter().filter(|(other, said)| *other != tag && shares(said));
                others.extend(with.map(|(other, _)| other.as_str()).take(10));
            }
        }
        if !others.is_empty() {
            let message = format!(
                "one release signs this tag and {}: deleting one tag would yank all of them; to do \
                 that, delete the digest",
                others.join(", ")
            );
            return Err(OciError::new(StatusCode::CONFLICT, "DENIED", message));
        }
        if ours.is_empty() {
            let message = "this node signed nothing by that name, or yanked it already; only its \
                           publisher can yank a release";
            return Err(OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        }
        for release in ours {
            let yanked = self
                .gateway
                .backend
                .yank(release, "deleted from this node's registry".into())
                .await;
            yanked.map_err(|error| OciError::internal(&error))?;
        }
        Ok(StatusCode::ACCEPTED.into_response())
    }

    /// Stores bytes; the returned lease protects them.
    pub(crate) async fn add(
        &self,
        contents: Vec<Vec<u8>>,
    ) -> Result<(Vec<Added>, Lease), OciError> {
        let store = self.gateway.backend.store().clone();
        blocking(move || {
            let mut batch = store.batch();
            let added = contents
                .into_iter()
                .map(|bytes| batch.add_bytes(bytes))
                .collect::<Result<Vec<_>, _>>()?;
            Ok((added, batch.commit()?))
        })
        .await
    }
}
