//! An image has the same artifact list, however it came to an archive.
//!
//! Lists are compared by their blob's id, which identifies the bytes that a publisher signs.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::future::{BoxFuture, FutureExt};
use perennial_gateway::{
    Backend, BlobRequest, FetchError, Options as GatewayOptions, SignError, router,
};
use perennial_import::{Archive, Images, Imported, Options, images, layout};
use perennial_manifest::{
    ArtifactList, BlobId, Body as Said, Draft, Keypair, PublisherId, Release, ReleaseId,
};
use perennial_oci::{Digest, OCI_INDEX, OCI_MANIFEST, REF_NAME, cosign_tags};
use perennial_store::{OpenOptions, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

const TOKEN: &str = "the token";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Manifests and blobs, in the order in which they are pushed.
#[derive(Default)]
struct Made(Vec<(String, Vec<u8>)>);

impl Made {
    fn put(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Value {
        let bytes = bytes.into();
        let digest = Digest::sha256_of(&bytes).to_string();
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        if !self.0.iter().any(|(_, known)| *known == bytes) {
            self.0.push((media_type.to_owned(), bytes));
        }
        descriptor
    }

    fn manifest(&mut self, manifest: &Value) -> Value {
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        self.put(&media_type, manifest.to_string())
    }

    /// An index of two platforms that share a layer, with an attestation of one of them.
    fn index(&mut self) -> Value {
        let mut manifests = Vec::new();
        for arch in ["amd64", "arm64"] {
            let config = self.put(CONFIG, format!(r#"{{"os":"linux","architecture":"{arch}"}}"#));
            let layers = [self.put(LAYER, vec![7; 90_000]), self.put(LAYER, arch.repeat(1000))];
            let image = json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
            });
            let mut image = self.manifest(&image);
            image["platform"] = json!({"os": "linux", "architecture": arch});
            manifests.push(image);
        }
        let config = self.put(CONFIG, "{}");
        let layers = [self.put("application/vnd.in-toto+json", r#"{"says":"so"}"#)];
        let attestation = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
        });
        let mut attestation = self.manifest(&attestation);
        attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        attestation["annotations"] =
            json!({"vnd.docker.reference.digest": manifests[0]["digest"].clone()});
        manifests.push(attestation);
        self.manifest(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}))
    }

    /// An index of what are no manifests: a build cache, as buildkit writes it.
    fn cache(&mut self) -> Value {
        let children = [
            self.put(LAYER, vec![9; 70_000]),
            self.put("application/vnd.buildkit.cacheconfig.v0", r#"{"layers":[]}"#),
            self.put("application/vnd.example.strange.v1+json", r#"{"strange":1}"#),
        ];
        self.manifest(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}))
    }

    /// The files of an OCI layout of one image.
    fn files(&self, root: &Value) -> Vec<(String, Vec<u8>)> {
        let mut entry = root.clone();
        entry["annotations"] = json!({ REF_NAME: "v1" });
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        files.extend(
            self.0.iter().map(|(_, bytes)| (Digest::sha256_of(bytes).path(), bytes.clone())),
        );
        files
    }
}

fn write_dir(dir: &Path, files: &[(String, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// An archive of a layout's directory.
fn write_tar(path: &Path, dir: &Path) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    tar.append_dir_all("", dir).unwrap();
    tar.finish().unwrap();
}

/// The id of the list of a draft.
fn list(draft: &Draft) -> BlobId {
    ArtifactList::new(draft.artifacts.clone()).unwrap().encode().unwrap().1.blob
}

fn only(imported: Imported) -> Draft {
    assert_eq!(imported.failed, []);
    assert_eq!(imported.drafts.len(), 1);
    imported.drafts.into_iter().next().unwrap()
}

/// A node behind the registry, which signs pushed images and has no peers.
struct Node {
    store: Store,
    key: Keypair,
    pushed: Mutex<Vec<Draft>>,
}

impl Node {
    fn sign(&self, draft: Draft) -> ReleaseId {
        let (encoded, artifacts) =
            ArtifactList::new(draft.artifacts.clone()).unwrap().encode().unwrap();
        self.store.add_small(vec![encoded]).unwrap();
        let release =
            Release { tags: draft.tags.clone(), ..Release::new(draft.purl.clone(), artifacts) };
        let publisher = self.key.id();
        let next = self.store.feed(&publisher).unwrap().next(None).unwrap();
        let body = Said::Release(Box::new(release));
        let signed = next.entry(publisher, 1_750_000_000, body).sign(&self.key).unwrap();
        self.store.put_entries(std::slice::from_ref(&signed)).unwrap();
        self.pushed.lock().unwrap().push(draft);
        ReleaseId::from(signed.id())
    }
}

struct Shared(Arc<Node>);

impl Backend for Shared {
    fn store(&self) -> &Store {
        &self.0.store
    }

    fn publisher(&self) -> PublisherId {
        self.0.key.id()
    }

    fn fetch(&self, _: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>> {
        async { Err(FetchError::NoHolder) }.boxed()
    }

    fn fetch_list(&self, _: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        async { Err(FetchError::NoHolder) }.boxed()
    }

    fn sign(&self, draft: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>> {
        let release = self.0.sign(draft);
        async move { Ok(release) }.boxed()
    }

    fn yank(
        &self,
        _: ReleaseId,
        _: String,
        _: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>> {
        async { Ok(()) }.boxed()
    }
}

fn store(dir: &tempfile::TempDir, name: &str) -> Store {
    Store::open(&dir.path().join(name), OpenOptions::default()).unwrap()
}

/// A registry served on the loopback interface.
async fn registry(dir: &tempfile::TempDir) -> (Arc<Node>, Router, String) {
    let (store, key) = (store(dir, "registry"), Keypair::from_seed([1; 32]));
    let node = Arc::new(Node { store, key, pushed: Mutex::default() });
    let options = GatewayOptions { token: Some(TOKEN.into()), ..GatewayOptions::default() };
    let router = router(Arc::new(Shared(Arc::clone(&node))), options);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let served = router.clone();
    tokio::spawn(async move { axum::serve(listener, served).await });
    (node, router, host)
}

async fn send(router: &Router, method: &str, path: &str, media_type: &str, body: &[u8]) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", media_type)
        .body(Body::from(body.to_vec()))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{path}: {}", String::from_utf8_lossy(&body));
}

/// Pushes a whole image, its root last and by tag.
async fn push(router: &Router, name: &str, made: &Made, root: &Value) {
    for (media_type, bytes) in &made.0 {
        let digest = Digest::sha256_of(bytes).to_string();
        if ![OCI_MANIFEST, OCI_INDEX].contains(&media_type.as_str()) {
            let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
            send(router, "POST", &path, "application/octet-stream", bytes).await;
            continue;
        }
        let reference = if root["digest"] == json!(digest) { "v1" } else { &digest };
        send(router, "PUT", &format!("/v2/{name}/manifests/{reference}"), media_type, bytes).await;
    }
}

async fn from_archive(store: &Store, source: String) -> Draft {
    let name = Some("quay.io/team/app".to_owned());
    let what = Archive { source, name, ..Archive::default() };
    only(layout(store, &what, &()).await.unwrap())
}

#[tokio::test]
async fn an_image_has_one_list_whichever_way_it_came() {
    one_list(Made::index).await;
}

#[tokio::test]
async fn an_index_of_no_manifests_has_one_list_whichever_way_it_came() {
    one_list(Made::cache).await;
}

async fn one_list(make: fn(&mut Made) -> Value) {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    let root = make(&mut made);
    let files = made.files(&root);

    let mut lists = Vec::new();
    let layout = dir.path().join("layout");
    write_dir(&layout, &files);
    write_tar(&dir.path().join("oci.tar"), &layout);
    // As docker has written it since version 25: a layout with an additional file for old readers.
    std::fs::write(layout.join("manifest.json"), "[]").unwrap();
    write_tar(&dir.path().join("docker.tar"), &layout);
    for (kind, name) in
        [("oci", "layout"), ("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")]
    {
        let source = format!("{kind}:{}", dir.path().join(name).display());
        let draft = from_archive(&store(&dir, kind), source).await;
        lists.push((kind, list(&draft)));
    }

    let (node, router, host) = registry(&dir).await;
    push(&router, "quay.io/team/app", &made, &root).await;
    let pushed = node.pushed.lock().unwrap().pop().unwrap();
    lists.push(("pushed", list(&pushed)));

    let images_wanted =
        Images { references: vec![format!("docker://{host}/team/app:v1")], ..Images::default() };
    let options = Options { allow_private: true, plain_http: true, ..Options::default() };
    let store = store(&dir, "pulled");
    let pulled = only(images(&store, &options, &images_wanted, &()).await.unwrap());
    lists.push(("registry", list(&pulled)));

    assert_eq!(pushed.artifacts.len(), made.0.len() + 2);
    let (_, first) = lists[0];
    assert!(lists.iter().all(|(_, list)| *list == first), "{lists:?}");
}

#[tokio::test]
async fn a_signature_that_came_by_its_tag_is_pulled_and_imported_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    let root = made.index();
    let subject: Digest = root["digest"].as_str().unwrap().parse().unwrap();
    let tag = cosign_tags(&subject).next().unwrap();
    let config = made.put(CONFIG, r#"{"signs":1}"#);
    let layers = [made.put("application/vnd.dev.cosign.simplesigning.v1+json", r#"{"by":"me"}"#)];
    let signature = made.manifest(&json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
    }));
    let mut files = made.files(&root);
    let mut entries: Value = serde_json::from_slice(&files[1].1).unwrap();
    let mut entry = signature.clone();
    entry["annotations"] = json!({ REF_NAME: tag });
    entries["manifests"].as_array_mut().unwrap().push(entry);
    files[1].1 = entries.to_string().into_bytes();
    write_dir(&dir.path().join("layout"), &files);

    let (node, _router, host) = registry(&dir).await;
    let source = format!("oci:{}", dir.path().join("layout").display());
    let archived = from_archive(&node.store, source).await;
    node.sign(archived.clone());
    // The registry serves the image with its signature; importing both gives the same list.
    let references = vec![format!("docker://{host}/team/app:v1")];
    let options = Options { allow_private: true, plain_http: true, ..Options::default() };
    let wanted = Images { references, ..Images::default() };
    let pulled = only(images(&store(&dir, "pulled"), &options, &wanted, &()).await.unwrap());
    assert_eq!(list(&pulled), list(&archived));
}
