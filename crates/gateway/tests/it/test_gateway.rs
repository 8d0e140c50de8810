//! A gateway over a real store, with publishers derived from seeds and a swarm of given blobs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures::future::{BoxFuture, FutureExt};
use perennial_gateway::{Backend, BlobRequest, FetchError, Options, SignError, router};
use perennial_manifest::{
    Artifact, ArtifactList, ArtifactPath, BlobId, Body as Said, Draft, Keypair, PublisherId, Purl,
    Release, ReleaseId, Role, Sha256Digest, SignedEntry,
};
use perennial_store::{OpenOptions, Store};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::fixtures::key;

/// A file of a release to sign.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) path: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) role: Role,
    pub(crate) media_type: &'static str,
    /// A false SHA-256 for the list to claim.
    pub(crate) sha256: Option<Sha256Digest>,
    pub(crate) location: Location,
}

/// The place where bytes are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Here,
    InTheSwarm,
    Nowhere,
}

pub(crate) fn file(path: &'static str, bytes: impl Into<Vec<u8>>) -> File {
    File {
        path,
        bytes: bytes.into(),
        role: Role::Binary,
        media_type: "application/octet-stream",
        sha256: None,
        location: Location::Here,
    }
}

impl File {
    pub(crate) fn located(self, location: Location) -> Self {
        Self { location, ..self }
    }

    pub(crate) fn of_type(self, media_type: &'static str) -> Self {
        Self { media_type, ..self }
    }

    pub(crate) fn artifact(&self) -> Artifact {
        Artifact {
            path: ArtifactPath::parse(self.path).expect("a path"),
            size: self.bytes.len() as u64,
            blake3: BlobId::of(&self.bytes),
            sha256: self.sha256.unwrap_or_else(|| sha256(&self.bytes)),
            media_type: self.media_type.into(),
            role: self.role,
            platform: None,
            exec: false,
            origins: Vec::new(),
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest::from_bytes(Sha256::digest(bytes).into())
}

pub(crate) struct Node {
    store: Store,
    own: PublisherId,
    swarm: Mutex<HashMap<BlobId, Vec<u8>>>,
    pub(crate) fetched: Mutex<Vec<BlobId>>,
}

impl Node {
    fn bring(&self, blob: BlobId) -> Result<(), FetchError> {
        let Some(bytes) = self.swarm.lock().expect("not poisoned").get(&blob).cloned() else {
            return Err(FetchError::NoHolder);
        };
        let mut batch = self.store.batch();
        batch.add_bytes(bytes).expect("added");
        drop(batch.commit().expect("stored"));
        self.fetched.lock().expect("not poisoned").push(blob);
        Ok(())
    }
}

impl Backend for Node {
    fn store(&self) -> &Store {
        &self.store
    }

    fn publisher(&self) -> PublisherId {
        self.own
    }

    fn fetch(&self, blob: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>> {
        std::future::ready(self.bring(blob.blob)).boxed()
    }

    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        let row = self.store.release(&release).expect("read").expect("known");
        std::future::ready(self.bring(row.artifacts.blob)).boxed()
    }

    fn sign(&self, _: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>> {
        std::future::ready(Err(SignError::new("nothing is signed here"))).boxed()
    }

    fn yank(
        &self,
        _: ReleaseId,
        _: String,
        _: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>> {
        std::future::ready(Err(SignError::new("nothing is signed here"))).boxed()
    }
}

pub(crate) struct TestGateway {
    _dir: tempfile::TempDir,
    pub(crate) node: Arc<Node>,
    pub(crate) router: Router,
    /// Advances with each release.
    clock: AtomicU64,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl TestGateway {
    /// A node whose own key is `key(1)`.
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), OpenOptions::default()).expect("a store");
        let node = Arc::new(Node {
            store,
            own: key(1).id(),
            swarm: Mutex::default(),
            fetched: Mutex::default(),
        });
        let router = router(Arc::clone(&node) as Arc<dyn Backend>, options);
        Self { _dir: dir, node, router, clock: AtomicU64::new(1_750_000_000) }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.node.store
    }

    pub(crate) fn follow(&self, key: &Keypair) {
        let mut follows = self.store().follows();
        follows.publishers.insert(key.id(), None);
        self.store().set_follows(&follows).expect("remembered");
    }

    /// Signs a release whose list is held.
    /// The time at which the next release is issued.
    pub(crate) fn set_clock(&self, seconds: u64) {
        self.clock.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn release(&self, key: &Keypair, purl: &str, files: &[File]) -> SignedEntry {
        self.release_with_list(key, purl, files, Location::Here)
    }

    pub(crate) fn release_with_list(
        &self,
        key: &Keypair,
        purl: &str,
        files: &[File],
        list: Location,
    ) -> SignedEntry {
        let artifacts = files.iter().map(File::artifact).collect();
        let (encoded, claim) =
            ArtifactList::new(artifacts).expect("a list").encode().expect("encoded");
        let blobs = files.iter().map(|file| (file.location, file.bytes.clone()));
        let mut batch = self.store().batch();
        for (location, bytes) in blobs.chain([(list, encoded)]) {
            match location {
                Location::Here => drop(batch.add_bytes(bytes).expect("added")),
                Location::InTheSwarm => {
                    let mut swarm = self.node.swarm.lock().expect("not poisoned");
                    swarm.insert(BlobId::of(&bytes), bytes);
                }
                Location::Nowhere => {}
            }
        }
        let _lease = batch.commit().expect("stored");
        let next = self.store().feed(&key.id()).expect("read").next(None).expect("a place");
        let purl = Purl::parse(purl).expect("a purl");
        let body = Said::Release(Box::new(Release::new(purl, claim)));
        let issued_at = self.clock.fetch_add(1, Ordering::SeqCst);
        let entry = next.entry(key.id(), issued_at, body);
        let signed = entry.sign(key).expect("signed");
        self.store().put_entries(std::slice::from_ref(&signed)).expect("taken");
        signed
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 256 << 20).await.expect("a whole body").to_vec();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        // Checked on every response of every test.
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "cross-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}
