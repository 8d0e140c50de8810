//! Pulling: manifests by tag or digest, blobs by digest.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures::future::join_all;
use perennial_manifest::{ArtifactListRef, ReleaseId};
use perennial_store::StoreError;

use super::Registry;
use super::digest::Digest;
use super::digest_index::ContentRef;
use super::error::OciError;
use super::manifest::{MAX_MANIFEST, Manifest, Taken, default_of, taken};
use super::name::{Named, is_tag};
use super::policy::{Meaning, meaning};
use super::snapshot::Selection;
use crate::backend::{BlobRequest, FetchError};
use crate::content::{Content, run};
use crate::http_error::HttpError;

/// How long a manifest may take to come from the swarm.
const PATIENCE: Duration = Duration::from_secs(15);
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// How long caches may keep a blob, which never changes.
const FOR_A_YEAR: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"));

/// What is known of a digest, or what might tell.
type Look = Result<ContentRef, (Vec<(ReleaseId, ArtifactListRef)>, bool)>;

/// What a client asks with.
pub(crate) struct RegistryRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// Whether it gave the token.
    pub(crate) owner: bool,
    /// The repository, as the path has it.
    pub(crate) name: &'a str,
    /// The registry, where it is told apart.
    pub(crate) ns: Option<&'a str>,
}

impl RegistryRequest<'_> {
    /// A path below the repository, spelled as this client spells it.
    pub(crate) fn location(&self, tail: &str) -> String {
        let ns = self.ns.map(|ns| format!("?ns={ns}")).unwrap_or_default();
        format!("/v2/{}{tail}{ns}", self.name)
    }
}

impl Registry {
    /// `GET /v2/<name>/manifests/<reference>`.
    pub(crate) async fn manifest(
        &self,
        asked: &RegistryRequest<'_>,
        name: &Named,
        reference: &str,
    ) -> Result<Response, OciError> {
        let (mut digest, releases, by_tag) = match reference.contains(':') {
            true => (Digest::parse(reference).ok_or_else(OciError::digest)?, Vec::new(), false),
            false => {
                let (digest, releases) = self.meaning(asked.owner, name, reference).await?;
                (digest, releases, true)
            }
        };
        let mut one_of_list = false;
        loop {
            let found = self.find(asked.owner, name, &digest, &releases).await;
            let found = found.map_err(|problem| OciError::manifest(&problem))?;
            let bytes = self.whole(asked.owner, &found).await?;
            let unknown = |why: String| {
                OciError::manifest(&HttpError::unknown(&format!("manifest {digest}: it is {why}")))
            };
            let manifest = Manifest::parse(&bytes).map_err(unknown)?;
            let media_type = manifest.media_type(Some(&found.media_type));
            match taken(asked.headers, &media_type, by_tag && !one_of_list) {
                Taken::Yes => {
                    // always whole, as the reference registry has it: nobody resumes a manifest
                    let mut headers = asked.headers.clone();
                    headers.remove(header::RANGE);
                    let content = content(&found, media_type);
                    let answer = self.gateway.answer(asked.method, &headers, &content, asked.owner);
                    let mut answer =
                        answer.await.map_err(|problem| OciError::manifest(&problem))?;
                    answer.headers_mut().remove(header::ACCEPT_RANGES);
                    if answer.status() == StatusCode::NOT_MODIFIED {
                        answer.headers_mut().remove(CONTENT_DIGEST);
                    }
                    return Ok(answer);
                }
                Taken::No(why) => return Err(unknown(why.to_owned())),
                Taken::OneOfList => {
                    let why = "a list without an image for linux on amd64, and the Accept header takes no list";
                    digest = default_of(&manifest).ok_or_else(|| unknown(why.to_owned()))?;
                    one_of_list = true;
                }
            }
        }
    }

    /// `GET /v2/<name>/blobs/<digest>`.
    pub(crate) async fn blob(
        &self,
        asked: &RegistryRequest<'_>,
        name: &Named,
        digest: &str,
    ) -> Result<Response, OciError> {
        let digest = Digest::parse(digest).ok_or_else(OciError::digest)?;
        let found = self.find(asked.owner, name, &digest, &[]).await;
        let found = found.map_err(|problem| OciError::blob(&problem))?;
        if asked.owner && *asked.method == Method::HEAD && !self.is_held(&found).await? {
            // whoever pushes is to send what is not held, so that what gets signed is
            return Err(OciError::blob(&HttpError::no_holder(&digest.to_string())));
        }
        // as registries do, whatever the list says: nothing that a browser would run
        let mut content = content(&found, "application/octet-stream".into());
        content.headers.push(FOR_A_YEAR);
        let answer = self.gateway.answer(asked.method, asked.headers, &content, asked.owner);
        answer.await.map_err(|problem| OciError::blob(&problem))
    }

    /// The digest that a tag means, and the releases that say so.
    async fn meaning(
        &self,
        owner: bool,
        name: &Named,
        tag: &str,
    ) -> Result<(Digest, Vec<ReleaseId>), OciError> {
        if !is_tag(tag) {
            let message = "no tag: letters, digits, `_`, `.` and `-`, at most 128";
            return Err(OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        }
        let (asked, wanted) = (name.clone(), tag.to_owned());
        let which = self.ask(move |snapshot, view| {
            let which = snapshot.which(&asked, view);
            let meaning = match &which {
                Selection::One(repository) => {
                    snapshot.catalog.get(repository).map_or(Meaning::Unknown, |image| {
                        meaning(&snapshot.catalog, image, &wanted, view.trusted)
                    })
                }
                _ => Meaning::Unknown,
            };
            Ok((which, meaning))
        });
        let (which, meaning) = which.await?;
        let repository = only(which, name)?;
        if meaning == Meaning::Unknown
            && let Some(found) = self.attached(owner, name, tag).await?
        {
            return Ok(found);
        }
        meaning.found(&format!("{repository}:{tag}"))
    }

    /// What a digest names, if need be by lists that are fetched first.
    pub(crate) async fn find(
        &self,
        owner: bool,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
    ) -> Result<ContentRef, HttpError> {
        let failed = |_| HttpError::internal(&"the catalog could not be read");
        let absent = match self.look(name, digest, first).await.map_err(failed)? {
            Ok(found) => return Ok(found),
            Err((absent, _)) => absent,
        };
        let brought =
            absent.iter().map(|(release, list)| self.gateway.bring_list(*release, list, owner));
        let brought: Vec<Result<(), HttpError>> = join_all(brought).await;
        let known = match self.look(name, digest, first).await.map_err(failed)? {
            Ok(found) => return Ok(found),
            Err((_, is_root)) => is_root || !first.is_empty(),
        };
        if known {
            let first = brought.into_iter().find_map(Result::err);
            return Err(first.unwrap_or_else(|| HttpError::no_holder(&digest.to_string())));
        }
        Err(HttpError::unknown(&format!("{digest} in {name}")))
    }

    /// What is known of a digest; if nothing, lists that may tell, and whether a release is one of it.
    async fn look(
        &self,
        name: &Named,
        digest: &Digest,
        first: &[ReleaseId],
    ) -> Result<Look, OciError> {
        let (waiting, pushed_to) = (self.pending.find(digest), self.pending.is_repository(name));
        let (name, digest, first) = (name.clone(), *digest, first.to_vec());
        let look = self.ask(move |snapshot, view| {
            // a repository that nobody speaks of has nothing, whoever has the content
            if !pushed_to && !snapshot.is_repository(&name) {
                return Ok(Err((Vec::new(), false)));
            }
            if let Some(found) = waiting {
                return Ok(Ok(found));
            }
            Ok(match snapshot.find(&digest, &first, view)? {
                Some(found) => Ok(found),
                None => Err((
                    snapshot.absent_lists(&name, &digest, &first, view)?,
                    snapshot.is_root(&name, &digest),
                )),
            })
        });
        look.await
    }

    /// All bytes of a manifest, checked against its digest; fetched first if they are not here.
    pub(crate) async fn whole(&self, owner: bool, found: &ContentRef) -> Result<Vec<u8>, OciError> {
        let (what, blob) = (found.digest.to_string(), found.blob);
        if found.size > MAX_MANIFEST {
            let why = format!("manifest {what}: it is longer than {MAX_MANIFEST} bytes");
            return Err(OciError::manifest(&HttpError::unknown(&why)));
        }
        let mut fetched = false;
        loop {
            let store = self.gateway.backend.store().clone();
            let read = run(move || {
                let mut bytes = Vec::new();
                store.copy_out(&blob, &mut bytes).map(|_| bytes)
            });
            match read.await {
                Ok(bytes) if found.digest.is_of(&bytes) => return Ok(bytes),
                Ok(_) => {
                    let why =
                        format!("manifest {what}: a release lists other bytes under this digest");
                    return Err(OciError::manifest(&HttpError::unknown(&why)));
                }
                Err(error) if fetched => return Err(OciError::store(&error)),
                Err(StoreError::Corrupt { blob }) => self.gateway.backend.damaged(blob),
                Err(StoreError::NotHeld(_)) => {}
                Err(error) => return Err(OciError::store(&error)),
            }
            self.bring(owner, found).await.map_err(|problem| OciError::manifest(&problem))?;
            fetched = true;
        }
    }

    async fn bring(&self, owner: bool, found: &ContentRef) -> Result<(), HttpError> {
        let what = found.digest.to_string();
        let Some(release) = found.release else { return Err(HttpError::no_holder(&what)) };
        let _waiting = self.gateway.within_budget(found.blob, found.size, owner)?;
        let fetch =
            self.gateway.backend.fetch(BlobRequest { release, blob: found.blob, size: found.size });
        match tokio::time::timeout(PATIENCE, fetch).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(FetchError::Failed(error))) => Err(HttpError::internal(&error)),
            Ok(Err(FetchError::NoHolder)) | Err(_) => Err(HttpError::no_holder(&what)),
        }
    }

    /// Whether all bytes of some content are here.
    pub(crate) async fn is_held(&self, found: &ContentRef) -> Result<bool, OciError> {
        let (store, blob) = (self.gateway.backend.store().clone(), found.blob);
        let held = run(move || store.blob_size(&blob)).await;
        held.map(|size| size.is_some()).map_err(|error| OciError::store(&error))
    }
}

fn content(found: &ContentRef, media_type: String) -> Content {
    let digest = found.digest.to_string();
    let headers =
        HeaderValue::try_from(&digest).map(|value| (CONTENT_DIGEST, value)).into_iter().collect();
    Content {
        blob: found.blob,
        size: found.size,
        media_type,
        digest,
        release: found.release,
        headers,
    }
}

/// The one repository that a name means, or why there is none.
pub(crate) fn only(which: Selection, name: &Named) -> Result<super::name::Repository, OciError> {
    let message = match which {
        Selection::One(repository) => return Ok(repository),
        Selection::Unknown => HttpError::unknown(&format!("repository {name}")).message,
        Selection::Several(several) => {
            let names: Vec<String> =
                several.iter().take(20).map(super::name::Repository::prefixed).collect();
            format!("{name} is known of more than one registry: write {}", names.join(" or "))
        }
    };
    Err(OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message))
}
