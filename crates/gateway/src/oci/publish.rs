//! Pushing manifests: a tag becomes a signed release of the whole image, as an OCI image layout.
//! Several tags of one push become as many releases, so that each can be deleted alone.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use perennial_manifest::{Draft, ReleaseId};
use perennial_oci::{Digest, MAX_MANIFEST, Manifest, Repository, Version, VersionError};
use perennial_store::{Added, Lease};

use super::Registry;
use super::closure::Closure;
use super::error::OciError;
use super::name::Named;
use super::pull::{CONTENT_DIGEST, RegistryRequest};
use super::push::with;
use crate::blocking::blocking;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// Tells a client which of the tags that it asked for in the query were made.
const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Tags of one push, at most: each is a signed release.
const MAX_TAGS: usize = 64;

/// The tags that a push asks for in its query, each once.
fn tags(query: &[(String, String)]) -> Result<Vec<String>, OciError> {
    let mut tags: Vec<String> = Vec::new();
    for (_, tag) in query.iter().filter(|(key, _)| key == "tag") {
        let Version::Tag(tag) = version(tag)? else {
            return Err(OciError::invalid(format!("{tag} is a digest, not a tag")));
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > MAX_TAGS {
            let message = format!("more than {MAX_TAGS} tags in one push: push the rest again");
            return Err(OciError::new(StatusCode::URI_TOO_LONG, "MANIFEST_INVALID", message));
        }
    }
    Ok(tags)
}

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
        name: &Named,
        reference: &str,
        query: &[(String, String)],
        body: Body,
    ) -> Result<Response, OciError> {
        let reference = version(reference)?;
        match *asked.method {
            Method::PUT => self.put_manifest(asked, name, reference, tags(query)?, body).await,
            // DELETE, the only method left.
            _ => self.delete(name, &reference).await,
        }
    }

    async fn put_manifest(
        &self,
        asked: &RegistryRequest<'_>,
        name: &Named,
        reference: Version,
        tags: Vec<String>,
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
        let needs_tag = matches!(reference, Version::Digest(_)) && manifest.subject.is_none();
        if needs_tag && tags.is_empty() {
            let media_type = manifest.media_type().to_owned();
            self.pending.keep(digest, added, media_type, lease, Instant::now());
        }
        let is_signed = matches!(reference, Version::Tag(_)) || tags.is_empty() && !needs_tag;
        if is_signed {
            self.publish(&repository, &reference, &closure).await?;
        }
        for tag in &tags {
            self.publish(&repository, &Version::Tag(tag.clone()), &closure).await?;
        }
        closure.digests().for_each(|digest| self.pending.restore(&repository, digest));
        let mut headers = vec![
            (header::LOCATION, asked.location(&format!("/manifests/{digest}"))),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        headers.extend(manifest.subject.map(|subject| (SUBJECT, subject.to_string())));
        let mut answer = with(StatusCode::CREATED, headers);
        for tag in tags {
            let tag = HeaderValue::try_from(tag).ok();
            tag.map(|tag| answer.headers_mut().append(TAG, tag));
        }
        Ok(answer)
    }

    /// Signs a release of an image, unless this node's newest release says the same.
    async fn publish(
        &self,
        repository: &Repository,
        reference: &Version,
        closure: &Closure,
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
        let (artifacts, _layout) = self.lay_out(closure, tag).await?;
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
