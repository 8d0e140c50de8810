//! A gateway with a registry frontend, the swarm it fetches from, and publishers of images.

mod cosign;
mod delete;
mod denied;
mod hostile;
mod images;
mod lists;
mod own_names;
mod publish;
mod pull;
mod swarm;
mod tags;
mod token;
mod upload;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures::future::{BoxFuture, FutureExt};
use perennial_gateway::{Backend, BlobRequest, FetchError, Options, SignError, router};
use perennial_manifest::{
    BlobId, Draft, Keypair, PublisherId, ReleaseId, Sha256Digest, SignedEntry,
};
use perennial_store::{OpenOptions, Store};
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};
use tower::ServiceExt;

use crate::fixtures::{bytes, key};
use images::{Image, artifact, draft, release, yank};

const CONSOLE: &str = "quay.io/kubesphere/ks-console";
const TOKEN: &str = "the token";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex::encode(Sha512::digest(bytes)))
}

/// The node around the gateway, with everything that its peers hold.
struct Peer {
    store: Store,
    swarm: Store,
    key: Keypair,
    reachable: AtomicBool,
    /// Requests for blobs, and the number of fetches among them.
    asked: AtomicUsize,
    brought: AtomicUsize,
    /// Delays fetches until it has permits.
    gate: tokio::sync::Semaphore,
    turn: tokio::sync::Mutex<()>,
}

struct TestRegistry {
    dir: tempfile::TempDir,
    store: Store,
    swarm: Store,
    peer: Arc<Peer>,
    router: Router,
}

impl TestRegistry {
    fn new() -> Self {
        Self::with(Options { token: Some(TOKEN.into()), ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("node"), OpenOptions::default()).unwrap();
        Self::within(dir, store, options)
    }

    /// A gateway on a store that is there.
    fn on(store: Store, options: Options) -> Self {
        Self::within(tempfile::tempdir().unwrap(), store, options)
    }

    fn within(dir: tempfile::TempDir, store: Store, options: Options) -> Self {
        let swarm = Store::open(&dir.path().join("swarm"), OpenOptions::default()).unwrap();
        let peer = Arc::new(Peer {
            store: store.clone(),
            swarm: swarm.clone(),
            key: key(1),
            reachable: AtomicBool::new(true),
            asked: AtomicUsize::new(0),
            brought: AtomicUsize::new(0),
            gate: tokio::sync::Semaphore::new(1000),
            turn: tokio::sync::Mutex::new(()),
        });
        let router = router(Arc::new(Handle(Arc::clone(&peer))), options);
        Self { dir, store, swarm, peer, router }
    }

    /// Another gateway on the same store, as after a restart.
    fn reopened(&self, options: Options) -> Self {
        let router = router(Arc::new(Handle(Arc::clone(&self.peer))), options);
        let (store, swarm) = (self.store.clone(), self.swarm.clone());
        let dir = tempfile::tempdir().unwrap();
        Self { dir, store, swarm, peer: Arc::clone(&self.peer), router }
    }

    fn follow(&self, key: &Keypair) {
        let mut follows = self.store.follows();
        follows.publishers.insert(key.id(), None);
        self.store.set_follows(&follows).unwrap();
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await;
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|e| e.to_string()),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(method, path, headers, Vec::new())).await
    }

    /// Sends a request with the token.
    async fn own(
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
    async fn push_blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let answer = self.own("POST", &path, &[], bytes).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        digest
    }

    /// Releases of this node's own publisher.
    fn own_entries(&self) -> Vec<SignedEntry> {
        let times = self.store.times(Some(&[self.peer.key.id()])).unwrap();
        times.iter().filter_map(|(_, id)| self.store.entry(id).unwrap()).collect()
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Body> {
    let mut request =
        Request::builder().method(method).uri(path).header("host", "node.example:4480");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Result<Bytes, String>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap()
    }

    /// Asserts an error in the specification's format, and returns its message.
    #[track_caller]
    fn refused(&self, status: u16, code: &str) -> String {
        let text = String::from_utf8_lossy(self.bytes());
        assert_eq!(self.status.as_u16(), status, "{text}");
        let error = &self.json()["errors"][0];
        assert_eq!(error["code"], code, "{text}");
        error["message"].as_str().unwrap().to_owned()
    }
}

struct Handle(Arc<Peer>);

impl Peer {
    /// Fetches a blob from the swarm, once for all waiting requests.
    async fn bring(self: Arc<Self>, blob: BlobId) -> Result<(), FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await.unwrap();
        let _turn = self.turn.lock().await;
        if self.store.blob_size(&blob).unwrap().is_some() {
            return Ok(());
        }
        let size = self.swarm.blob_size(&blob).unwrap().unwrap_or(0);
        let Ok(_room) = self.store.promise(&[(blob, size)]) else {
            return Err(FetchError::NoRoom);
        };
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

    fn fetch(&self, blob: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>> {
        Arc::clone(&self.0).bring(blob.blob).boxed()
    }

    fn fetch_list(&self, release: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        let row = self.0.store.release(&release).unwrap().unwrap();
        Arc::clone(&self.0).bring(row.artifacts.blob).boxed()
    }

    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>> {
        let signed = release(&self.0.store, &self.0.key, draft);
        self.0.store.put_entries(std::slice::from_ref(&signed)).unwrap();
        async move { Ok(ReleaseId::from(signed.id())) }.boxed()
    }

    fn yank(
        &self,
        release: ReleaseId,
        _: String,
        references: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>> {
        let signed = yank(&self.0.store, &self.0.key, release, references);
        self.0.store.put_entries(&[signed]).unwrap();
        async { Ok(()) }.boxed()
    }
}

/// Copies a blob from one store to another.
fn copy(from: &Store, to: &Store, blob: &BlobId) -> Option<Sha256Digest> {
    let mut bytes = Vec::new();
    let sha256 = from.copy_out(blob, &mut bytes).ok()?;
    let mut batch = to.batch();
    batch.add_bytes(bytes).unwrap();
    batch.commit().unwrap();
    Some(sha256)
}

fn file_of(dir: &Path, blob: &BlobId) -> std::path::PathBuf {
    let hex = blob.to_hex();
    dir.join("blobs").join(&hex[..2]).join(format!("{hex}.blob"))
}

fn followed(registry: &TestRegistry, seed: u8) -> Keypair {
    let key = key(seed);
    registry.follow(&key);
    key
}

/// A held image, released by a followed publisher.
fn held(registry: &TestRegistry) -> Image {
    let image = Image::new(bytes(300_000, 7));
    image.release(&registry.store, &followed(registry, 2), CONSOLE, "v3.4.1");
    image
}

async fn push(registry: &TestRegistry, name: &str, reference: &str, image: &Image) -> Answer {
    registry.push_blob(name, &image.layer).await;
    registry.push_blob(name, &image.config).await;
    put(registry, name, reference, &image.manifest, OCI_MANIFEST).await
}

async fn put(
    registry: &TestRegistry,
    name: &str,
    reference: &str,
    manifest: &[u8],
    kind: &str,
) -> Answer {
    registry
        .own(
            "PUT",
            &format!("/v2/{name}/manifests/{reference}"),
            &[("content-type", kind)],
            manifest,
        )
        .await
}

async fn begin(registry: &TestRegistry, name: &str) -> String {
    let answer = registry.own("POST", &format!("/v2/{name}/blobs/uploads/"), &[], "").await;
    assert_eq!(answer.status, 202);
    answer.header("location").to_owned()
}

fn incoming(registry: &TestRegistry) -> usize {
    std::fs::read_dir(registry.store.incoming()).unwrap().count()
}
