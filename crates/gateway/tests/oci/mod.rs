//! A node with a registry face, the swarm it fetches from, and publishers of images.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures::future::{BoxFuture, FutureExt};
use perennial_gateway::{Backend, FetchError, Fetched, Options, router};
use perennial_manifest::{
    Artifact, ArtifactList, ArtifactListRef, ArtifactPath, BlobId, Body as Said, Draft, Entry,
    Keypair, PublisherId, Purl, Release, ReleaseId, Role, Sha256Digest, SignedEntry, Status,
    StatusKind, Target,
};
use perennial_store::{OpenOptions, Store};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use tower::ServiceExt;

pub(crate) const TOKEN: &str = "the token";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

/// Bytes that differ by seed.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn key(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}

/// The node around the face, and all that its peers hold.
pub(crate) struct Peer {
    store: Store,
    swarm: Store,
    key: Keypair,
    pub(crate) reachable: AtomicBool,
    /// Requests for a blob, and how many of them brought it.
    pub(crate) asked: AtomicUsize,
    pub(crate) brought: AtomicUsize,
    /// Holds fetches up until it has permits.
    pub(crate) gate: tokio::sync::Semaphore,
    turn: tokio::sync::Mutex<()>,
    pub(crate) damaged: AtomicUsize,
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) swarm: Store,
    pub(crate) peer: Arc<Peer>,
    pub(crate) router: Router,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options { token: Some(TOKEN.into()), ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let open =
            |name: &str| Store::open(&dir.path().join(name), OpenOptions::default()).unwrap();
        let (store, swarm) = (open("node"), open("swarm"));
        let peer = Arc::new(Peer {
            store: store.clone(),
            swarm: swarm.clone(),
            key: key(1),
            reachable: AtomicBool::new(true),
            asked: AtomicUsize::new(0),
            brought: AtomicUsize::new(0),
            gate: tokio::sync::Semaphore::new(1000),
            turn: tokio::sync::Mutex::new(()),
            damaged: AtomicUsize::new(0),
        });
        let router = router(Arc::new(Handle(Arc::clone(&peer))), options);
        Self { dir, store, swarm, peer, router }
    }

    pub(crate) fn follow(&self, key: &Keypair) {
        let mut follows = self.store.follows();
        follows.publishers.insert(key.id(), None);
        self.store.set_follows(&follows).unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await;
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|e| e.to_string()),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(method, path, headers, Vec::new())).await
    }

    /// A request with the token.
    pub(crate) async fn own(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.send(request(method.parse().unwrap(), path, &all, body.into())).await
    }

    /// Pushes a blob in one piece.
    pub(crate) async fn push_blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let answer = self.own("POST", &path, &[], bytes).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        digest
    }

    /// Releases of this node's own publisher.
    pub(crate) fn own_entries(&self) -> Vec<SignedEntry> {
        let times = self.store.times(Some(&[self.peer.key.id()])).unwrap();
        times.iter().filter_map(|(_, id)| self.store.entry(id).unwrap()).collect()
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Request<Body> {
    let mut request =
        Request::builder().method(method).uri(path).header("host", "node.example:4480");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Bytes, String>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap()
    }

    /// Asserts an error of the specification's form, and gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let text = String::from_utf8_lossy(self.bytes());
        assert_eq!(self.status.as_u16(), status, "{text}");
        let error = &self.json()["errors"][0];
        assert_eq!(error["code"], code, "{text}");
        error["message"].as_str().unwrap().to_owned()
    }
}

struct Handle(Arc<Peer>);

impl Peer {
    /// Brings a blob from the swarm; once, however many want it.
    async fn bring(self: Arc<Self>, blob: BlobId) -> Result<(), FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await.unwrap();
        let _turn = self.turn.lock().await;
        if self.store.blob_size(&blob).unwrap().is_some() {
            return Ok(());
        }
        if !self.reachable.load(Ordering::SeqCst) || copy(&self.swarm, &self.store, &blob).is_none()
        {
            return Err(FetchError::NoHolder);
        }
        self.brought.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Backend for Handle {
    fn store(&self) -> &Store {
        &self.0.store
    }

    fn publisher(&self) -> PublisherId {
        self.0.key.id()
    }

    fn fetch(&self, blob: Fetched) -> BoxFuture<'static, Result<(), FetchError>> {
        Arc::clone(&self.0).bring(blob.blob).boxed()
    }

    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        let row = self.0.store.release(&release).unwrap().unwrap();
        Arc::clone(&self.0).bring(row.artifacts.blob).boxed()
    }

    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, String>> {
        let signed = release(&self.0.store, &self.0.key, draft);
        self.0.store.put_entries(std::slice::from_ref(&signed)).unwrap();
        async move { Ok(ReleaseId::from(signed.id())) }.boxed()
    }

    fn yank(&self, release: ReleaseId, _: String) -> BoxFuture<'static, Result<(), String>> {
        let signed = yank(&self.0.store, &self.0.key, release);
        self.0.store.put_entries(&[signed]).unwrap();
        async { Ok(()) }.boxed()
    }

    fn damaged(&self, _: BlobId) {
        self.0.damaged.fetch_add(1, Ordering::SeqCst);
    }
}

/// Signs the next entry of a key's feed in a store.
pub(crate) fn sign(store: &Store, key: &Keypair, body: Said) -> SignedEntry {
    let next = store.feed(&key.id()).unwrap().next(None).unwrap();
    let issued_at = 1_750_000_000 + next.seq;
    Entry { publisher: key.id(), seq: next.seq, prevs: next.prevs, issued_at, body }
        .sign(key)
        .unwrap()
}

pub(crate) fn yank(store: &Store, key: &Keypair, release: ReleaseId) -> SignedEntry {
    let target = Target::Release(release.entry());
    let status =
        Status { target, status: StatusKind::Yanked, text: "gone".into(), references: Vec::new() };
    sign(store, key, Said::Status(status))
}

fn list(store: &Store, artifacts: Vec<Artifact>) -> ArtifactListRef {
    let (encoded, claim) = ArtifactList::new(artifacts).unwrap().encode().unwrap();
    store.add_small(vec![encoded]).unwrap();
    claim
}

/// A signed release; its list is in the store, the entry is not yet.
pub(crate) fn release(store: &Store, key: &Keypair, draft: Draft) -> SignedEntry {
    let body = Release {
        purl: draft.purl,
        license: "NOASSERTION".into(),
        license_texts: Vec::new(),
        artifacts: list(store, draft.artifacts),
        source: None,
        acquired: None,
        tags: draft.tags,
        notes: None,
    };
    sign(store, key, Said::Release(Box::new(body)))
}

pub(crate) fn artifact(store: &Store, bytes: &[u8], media_type: &str, role: Role) -> Artifact {
    let mut batch = store.batch();
    let added = batch.add_bytes(bytes.to_vec()).unwrap();
    batch.commit().unwrap();
    Artifact {
        path: ArtifactPath::parse(&format!("blobs/sha256/{}", added.sha256.to_hex())).unwrap(),
        size: added.size,
        blake3: added.blob,
        sha256: added.sha256,
        media_type: media_type.into(),
        role,
        platform: None,
        exec: false,
        origins: Vec::new(),
    }
}

/// An image of one layer.
pub(crate) struct Image {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Image {
    pub(crate) fn new(layer: Vec<u8>) -> Self {
        let config =
            json!({"os": "linux", "architecture": "amd64", "layer": sha256(&layer)}).to_string();
        let config = config.into_bytes();
        let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
        });
        Self { layer, config, manifest: manifest.to_string().into_bytes() }
    }

    pub(crate) fn digest(&self) -> String {
        sha256(&self.manifest)
    }

    pub(crate) fn artifacts(&self, store: &Store) -> Vec<Artifact> {
        vec![
            artifact(store, &self.manifest, OCI_MANIFEST, Role::ImageManifest),
            artifact(
                store,
                &self.config,
                "application/vnd.oci.image.config.v1+json",
                Role::ImageConfig,
            ),
            artifact(
                store,
                &self.layer,
                "application/vnd.oci.image.layer.v1.tar+gzip",
                Role::ImageLayer,
            ),
        ]
    }

    /// A release of it in a repository (`quay.io/a/b`) under a tag, with its bytes in `store`.
    pub(crate) fn release(
        &self,
        store: &Store,
        key: &Keypair,
        repository: &str,
        tag: &str,
    ) -> SignedEntry {
        let tags = BTreeMap::from([(format!("{repository}:{tag}"), self.digest())]);
        let signed = release(store, key, draft(repository, tag, self.artifacts(store), tags));
        store.put_entries(std::slice::from_ref(&signed)).unwrap();
        signed
    }
}

pub(crate) fn draft(
    repository: &str,
    version: &str,
    artifacts: Vec<Artifact>,
    tags: BTreeMap<String, String>,
) -> Draft {
    let (registry, path) = repository.split_once('/').unwrap();
    let purl = format!("pkg:docker/{path}@{version}?repository_url={registry}");
    Draft {
        purl: Purl::parse(&purl).unwrap(),
        license: None,
        artifacts,
        from: "test".into(),
        tags,
        observations: Vec::new(),
        notes: None,
    }
}

/// Copies what the swarm's store has of a blob to another.
pub(crate) fn copy(from: &Store, to: &Store, blob: &BlobId) -> Option<Sha256Digest> {
    let mut bytes = Vec::new();
    let sha256 = from.copy_out(blob, &mut bytes).ok()?;
    let mut batch = to.batch();
    batch.add_bytes(bytes).unwrap();
    batch.commit().unwrap();
    Some(sha256)
}

pub(crate) fn file_of(dir: &Path, blob: &BlobId) -> std::path::PathBuf {
    let hex = blob.to_hex();
    dir.join("blobs").join(&hex[..2]).join(format!("{hex}.blob"))
}
