//! Pushing manifests: a tag becomes a signed release of the whole image, as an OCI image layout; deleting takes it back.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_manifest::{Draft, ReleaseId};
use perennial_store::{Added, Lease};

use super::Registry;
use super::closure::Closure;
use super::digest::Digest;
use super::digest_index::ContentRef;
use super::error::OciError;
use super::manifest::{MAX_MANIFEST, Manifest};
use super::name::{Named, Repository, is_tag};
use super::pull::{CONTENT_DIGEST, RegistryRequest, only};
use super::push::with;
use crate::content::run;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// What a manifest is pushed or deleted by.
#[derive(Debug, Clone)]
enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    fn parse(text: &str) -> Result<Self, OciError> {
        match text.contains(':') {
            true => Digest::parse(text).map(Self::Digest).ok_or_else(OciError::digest),
            false if is_tag(text) => Ok(Self::Tag(text.to_owned())),
            false => {
                Err(OciError::invalid("no tag: letters, digits, `_`, `.` and `-`, at most 128"))
            }
        }
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
        let reference = Reference::parse(reference)?;
        match *asked.method {
            Method::PUT => self.put_manifest(asked, name, reference, body).await,
            // DELETE: others do not come here
            _ => self.untag(name, reference).await,
        }
    }

    async fn put_manifest(
        &self,
        asked: &RegistryRequest<'_>,
        name: Named,
        reference: Reference,
        body: Body,
    ) -> Result<Response, OciError> {
        let limit = usize::try_from(MAX_MANIFEST).unwrap_or(usize::MAX);
        let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
            let message =
                format!("a manifest has at most {MAX_MANIFEST} bytes, or this one broke off");
            OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
        })?;
        let manifest = Manifest::parse(&bytes).map_err(OciError::invalid)?;
        let told = asked.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let told = told.map(|told| told.split(';').next().unwrap_or_default().trim());
        if let (Some(told), Some(own)) = (told, manifest.own_media_type())
            && told != own
        {
            return Err(OciError::invalid(format!(
                "it says that it is {own}, and the Content-Type {told}"
            )));
        }
        let media_type = manifest.media_type(told);
        let digest = match &reference {
            Reference::Digest(digest) if digest.is_of(&bytes) => *digest,
            Reference::Digest(digest) => {
                let message =
                    format!("the {} bytes that came are not those of {digest}", bytes.len());
                return Err(OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
            }
            Reference::Tag(_) => Digest::sha256_of(&bytes),
        };
        let repository = name.clone().target().ok_or_else(OciError::name)?;
        // checked before anything is stored
        let mut closure = Closure::default();
        self.close_over(&mut closure, &manifest).await?;
        let (added, lease) = self.add(vec![bytes.to_vec()]).await?;
        let added =
            *added.first().ok_or_else(|| OciError::internal(&"a manifest was not stored"))?;
        let found = ContentRef {
            digest,
            blob: added.blob,
            size: added.size,
            media_type: media_type.clone(),
            release: None,
        };
        closure.add_manifest(&found, added.sha256, &manifest, None)?;
        match &reference {
            Reference::Digest(_) if manifest.subject.is_none() => {
                self.pending.keep(digest, added, media_type, lease, Instant::now());
                self.pending.note(name, Instant::now());
            }
            _ => self.publish(&repository, &reference, &found, closure).await?,
        }
        let mut headers = vec![
            (header::LOCATION, asked.location(&format!("/manifests/{digest}"))),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        headers.extend(manifest.subject.map(|subject| (SUBJECT, subject.digest)));
        Ok(with(StatusCode::CREATED, headers))
    }

    /// Signs a release of an image, unless the last that this node signed says the same.
    async fn publish(
        &self,
        repository: &Repository,
        reference: &Reference,
        root: &ContentRef,
        mut closure: Closure,
    ) -> Result<(), OciError> {
        if self.says_so(repository, reference, root.digest).await? {
            self.pending.release(closure.digests());
            return Ok(());
        }
        let (version, tag) = match reference {
            Reference::Tag(tag) => (tag.clone(), Some(tag.as_str())),
            Reference::Digest(digest) => (digest.to_string(), None),
        };
        let store = self.gateway.backend.store();
        let _kept = store.lease(closure.blobs());
        let _layout = self.add_layout(&mut closure, root, tag).await?;
        let tags = tag.map(|tag| (format!("{repository}:{tag}"), root.digest.to_string()));
        let draft = Draft {
            purl: repository.purl(&version).map_err(OciError::invalid)?,
            license: None,
            artifacts: closure.artifacts()?,
            from: "pushed to this node's registry".into(),
            tags: tags.into_iter().collect::<BTreeMap<_, _>>(),
            observations: Vec::new(),
            notes: None,
        };
        self.gateway.backend.sign(draft).await.map_err(|error| OciError::internal(&error))?;
        self.pending.release(closure.digests());
        Ok(())
    }

    /// Whether the newest that this node signed of a name says that it means this digest.
    async fn says_so(
        &self,
        repository: &Repository,
        reference: &Reference,
        digest: Digest,
    ) -> Result<bool, OciError> {
        let (repository, reference) = (repository.clone(), reference.clone());
        let own = self.gateway.backend.publisher();
        let asked = self.ask(move |snapshot, _| {
            let Some(image) = snapshot.catalog.get(&repository) else { return Ok(false) };
            let valid = |release: &ReleaseId| !snapshot.catalog.is_yanked(&own, release);
            Ok(match reference {
                Reference::Tag(tag) => {
                    let said = image.tags.get(&tag).into_iter().flatten();
                    let ours = said.filter(|said| said.publisher == own && valid(&said.release));
                    ours.max_by_key(|said| said.seq).is_some_and(|said| said.digest == digest)
                }
                Reference::Digest(_) => image.releases.iter().any(|release| {
                    release.publisher == own
                        && valid(&release.release)
                        && release.roots.contains(&digest)
                }),
            })
        });
        asked.await
    }

    /// Takes back what this node signed of a tag or digest. The bytes stay, and answer by digest.
    async fn untag(&self, name: Named, reference: Reference) -> Result<Response, OciError> {
        let own = self.gateway.backend.publisher();
        let (asked, wanted) = (name.clone(), reference.clone());
        let question = self.ask(move |snapshot, view| {
            let which = snapshot.which(&asked, view);
            let meant = snapshot.catalog.meant(&asked);
            let (mut ours, mut others): (Vec<ReleaseId>, Vec<String>) = Default::default();
            for image in meant.iter().filter_map(|repository| snapshot.catalog.get(repository)) {
                match &wanted {
                    Reference::Tag(tag) => {
                        let said = image.tags.get(tag).into_iter().flatten();
                        ours.extend(
                            said.filter(|said| said.publisher == own).map(|said| said.release),
                        );
                    }
                    Reference::Digest(digest) => {
                        let of = |r: &&super::image_catalog::ImageRelease| {
                            r.publisher == own && r.roots.contains(digest)
                        };
                        ours.extend(
                            image.releases.iter().filter(of).map(|release| release.release),
                        );
                    }
                }
            }
            ours.retain(|release| !snapshot.catalog.is_yanked(&own, release));
            ours.sort_unstable();
            ours.dedup();
            if let Reference::Tag(tag) = &wanted {
                for image in meant.iter().filter_map(|repository| snapshot.catalog.get(repository))
                {
                    let with = image.tags.iter().filter(|(other, said)| {
                        *other != tag && said.iter().any(|said| ours.contains(&said.release))
                    });
                    others.extend(with.map(|(other, _)| other.clone()).take(10));
                }
            }
            Ok((which, ours, others))
        });
        let (which, ours, others) = question.await?;
        only(which, &name)?;
        if !others.is_empty() {
            let message = format!(
                "one release says this tag and {}: deleting one would take back all; delete its digest if that is meant",
                others.join(", ")
            );
            return Err(OciError::new(StatusCode::CONFLICT, "DENIED", message));
        }
        if ours.is_empty() {
            let message = "this node signed no such thing, or took it back already; what others signed is theirs to take back";
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

    /// Stores bytes; they are kept for as long as the lease.
    pub(crate) async fn add(
        &self,
        contents: Vec<Vec<u8>>,
    ) -> Result<(Vec<Added>, Lease), OciError> {
        let store = self.gateway.backend.store().clone();
        let work = run(move || {
            let mut batch = store.batch();
            let added = contents
                .into_iter()
                .map(|bytes| batch.add_bytes(bytes))
                .collect::<Result<Vec<_>, _>>()?;
            Ok((added, batch.commit()?))
        });
        work.await.map_err(|error| OciError::store(&error))
    }
}
