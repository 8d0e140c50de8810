//! An upstream on the loopback interface: a web server, chart repository and registry in one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use perennial_oci::{Digest, OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An answer: status, header lines, body.
pub(crate) type Answer = (u16, String, Vec<u8>);

/// The answers by path; any other path is 404.
#[derive(Clone, Default)]
pub(crate) struct Web {
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    /// The heads of the requests so far.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Starts the server and returns it with its `127.0.0.1:port`.
    pub(crate) fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let web = Self::default();
        let served = web.clone();
        thread::spawn(move || served.serve(&listener));
        (web, host)
    }

    /// Answers all connections.
    pub(crate) fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            let (mut stream, served) = (stream.unwrap(), self.clone());
            thread::spawn(move || {
                let mut head = String::new();
                let mut lines = BufReader::new(&mut stream);
                while !head.ends_with("\r\n\r\n") {
                    if lines.read_line(&mut head).unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = stream.write_all(&served.answer(head));
            });
        }
    }

    fn answer(&self, head: String) -> Vec<u8> {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, headers, body) =
            self.answers().get(path).cloned().unwrap_or_else(|| (404, String::new(), Vec::new()));
        let len = body.len();
        let mut answer = format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {len}\r\nConnection: close\r\n{headers}\r\n"
        )
        .into_bytes();
        if method != "HEAD" {
            answer.extend(body);
        }
        self.asked.lock().unwrap().push(head);
        answer
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.answers.lock().unwrap()
    }

    /// The heads of the requests for a path.
    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|head| head.split(' ').nth(1) == Some(path)).cloned().collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }

    pub(crate) fn put(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.say(path, 200, "", body);
    }

    pub(crate) fn say(&self, path: &str, status: u16, headers: &str, body: impl Into<Vec<u8>>) {
        self.answers().insert(path.to_owned(), (status, headers.to_owned(), body.into()));
    }

    pub(crate) fn drop(&self, path: &str) {
        self.answers().remove(path);
    }

    /// Puts a blob of a repository, and returns its descriptor.
    fn blob(&self, repository: &str, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::sha256_of(bytes).to_string();
        self.put(&format!("/v2/{repository}/blobs/{digest}"), bytes);
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    }

    /// Puts a manifest of a repository, and returns its descriptor.
    pub(crate) fn manifest(&self, repository: &str, manifest: &str, tag: Option<&str>) -> Value {
        let digest = Digest::sha256_of(manifest.as_bytes()).to_string();
        let kind = serde_json::from_str::<Value>(manifest).unwrap()["mediaType"].clone();
        for name in [Some(digest.as_str()), tag].into_iter().flatten() {
            self.put(&format!("/v2/{repository}/manifests/{name}"), manifest);
        }
        json!({"mediaType": kind, "digest": digest, "size": manifest.len()})
    }

    /// Puts an image of one layer, and returns its descriptor and the path of its layer.
    pub(crate) fn image(
        &self,
        repository: &str,
        layer: &str,
        tag: Option<&str>,
    ) -> (Value, String) {
        let config = self.blob(repository, CONFIG, b"{}");
        let layer = self.blob(repository, LAYER, layer.as_bytes());
        let path = format!("/v2/{repository}/blobs/{}", layer["digest"].as_str().unwrap());
        let image = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
        });
        (self.manifest(repository, &image.to_string(), tag), path)
    }

    /// Puts an index of two platforms; returns the path of the layer of the second.
    pub(crate) fn index(&self, repository: &str, tag: &str) -> String {
        let (mut first, _) = self.image(repository, "first", None);
        let (mut second, layer) = self.image(repository, "second", None);
        first["platform"] = json!({"os": "linux", "architecture": "amd64"});
        second["platform"] = json!({"os": "linux", "architecture": "arm64"});
        let index =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [first, second]});
        self.manifest(repository, &index.to_string(), Some(tag));
        layer
    }

    /// Puts a chart repository of one chart that names images, which `digest` is said of.
    pub(crate) fn chart(&self, folder: &str, images: &[String], digest: Option<&str>) {
        let values: String = images
            .iter()
            .enumerate()
            .map(|(n, image)| format!("i{n}: {{image: {image}}}\n"))
            .collect();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        for (name, text) in [
            ("a/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n"),
            ("a/values.yaml", values.as_str()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let chart = tar.into_inner().unwrap().finish().unwrap();
        let digest = digest.map(|digest| format!(", digest: {digest}")).unwrap_or_default();
        let entry = format!("name: a, version: 1.0.0, urls: [a-1.0.0.tgz]{digest}");
        let index = format!("apiVersion: v1\nentries:\n  a:\n  - {{{entry}}}\n");
        self.put(&format!("{folder}/index.yaml"), index);
        self.put(&format!("{folder}/a-1.0.0.tgz"), chart);
    }
}
