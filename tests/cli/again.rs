//! The same add again, of each kind of source: one release, however often. `PERENNIAL_ROUNDS` sets
//! how often; the default is short.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::program::Place;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Serves these paths on a free port of the loopback interface, and returns the port.
fn serve(files: BTreeMap<String, (&'static str, Vec<u8>)>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let files = Arc::new(files);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let files = files.clone();
            thread::spawn(move || -> Option<()> {
                let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
                let first = lines.next()?.ok()?;
                while !lines.next()?.ok()?.is_empty() {}
                let path = first.split(' ').nth(1)?.split('?').next()?;
                let (status, (kind, bytes)) = match files.get(path) {
                    Some(file) => ("200 OK", file.clone()),
                    None => ("404 Not Found", ("text/plain", Vec::new())),
                };
                let mut stream = stream;
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n",
                    bytes.len()
                )
                .ok()?;
                let body = if first.starts_with("HEAD") { &[] } else { &bytes[..] };
                stream.write_all(body).ok()
            });
        }
    });
    port
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    let digest = format!("sha256:{}", hex(bytes));
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An image of one layer.
struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Image {
    fn new(text: &str) -> Self {
        let layer = tar(&[("app", text.as_bytes())]);
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))] },
        }))
        .unwrap();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }))
        .unwrap();
        Self { layer, config, manifest }
    }

    /// The paths of a registry that has it as `team/app:TAG`.
    fn on_registry(&self, tag: &str, files: &mut BTreeMap<String, (&'static str, Vec<u8>)>) {
        files.insert("/v2/".into(), ("application/json", b"{}".to_vec()));
        for name in [tag.to_owned(), format!("sha256:{}", hex(&self.manifest))] {
            let path = format!("/v2/team/app/manifests/{name}");
            files.insert(path, (MANIFEST, self.manifest.clone()));
        }
        for blob in [&self.config, &self.layer] {
            let path = format!("/v2/team/app/blobs/sha256:{}", hex(blob));
            files.insert(path, ("application/octet-stream", blob.clone()));
        }
    }

    /// The files of an OCI layout that names it.
    fn layout(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        let blobs = [&self.manifest, &self.config, &self.layer];
        let blobs = blobs.map(|blob| (format!("blobs/sha256/{}", hex(blob)), blob.clone()));
        [
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), serde_json::to_vec(&index).unwrap()),
        ]
        .into_iter()
        .chain(blobs)
        .collect()
    }

    /// What `docker save` writes.
    fn saved(&self, name: &str) -> Vec<u8> {
        let (config, layer) = (format!("{}.json", hex(&self.config)), hex(&self.layer));
        let layer = format!("{layer}/layer.tar");
        let manifest = json!([{ "Config": config, "RepoTags": [name], "Layers": [layer] }]);
        let manifest = serde_json::to_vec(&manifest).unwrap();
        tar(&[(&config, &self.config), (&layer, &self.layer), ("manifest.json", &manifest)])
    }
}

fn chart() -> Vec<u8> {
    let text = b"apiVersion: v2\nname: web\nversion: 1.0.0\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar(&[("web/Chart.yaml", text)])).unwrap();
    packed.finish().unwrap()
}

fn write_all(dir: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn the_same_add_of_any_kind_is_one_release() {
    let rounds: u32 =
        std::env::var("PERENNIAL_ROUNDS").map_or(2, |rounds| rounds.parse().expect("a number"));
    let place = Place::new();
    let (one, two, three) = (Image::new("one"), Image::new("two"), Image::new("three"));
    let packed = chart();
    let index = format!(
        "apiVersion: v1\nentries:\n  web:\n  - name: web\n    version: 1.0.0\n    \
         urls: [web-1.0.0.tgz]\n    digest: {}\n",
        hex(&packed)
    );
    let mut files = BTreeMap::from([
        ("/f.bin".to_owned(), ("application/octet-stream", vec![1; 100_000])),
        ("/charts/index.yaml".to_owned(), ("text/yaml", index.into_bytes())),
        ("/charts/web-1.0.0.tgz".to_owned(), ("application/gzip", packed)),
    ]);
    one.on_registry("v1", &mut files);
    two.on_registry("v2", &mut files);
    let host = format!("127.0.0.1:{}", serve(files));

    place.file("tool", b"the tool");
    place.file("tree/docs/guide.md", b"# the guide");
    place.file("tree/large", &vec![2; 300_000]);
    place.file("seeded/large", &vec![3; 300_000]);
    place.file("images.txt", format!("{host}/team/app:v2\n").as_bytes());
    let named = |tag: &str| format!("example.org/team/app:{tag}");
    write_all(&place.path("layout"), &three.layout(&named("layout")));
    let archived = three.layout(&named("archived"));
    let archived: Vec<_> = archived.iter().map(|(name, b)| (name.as_str(), &b[..])).collect();
    place.file("oci.tar", &tar(&archived));
    place.file("docker.tar", &three.saved(&named("saved")));

    let (url, image) = (format!("http://{host}/f.bin"), format!("docker://{host}/team/app:v1"));
    let charts = format!("helm+http://{host}/charts/");
    let private = ["--allow-private", "--plain-http"];
    let kinds = [
        ("a file", vec!["tool", "--name", "tool", "--version", "1"]),
        ("a tree", vec!["tree", "--name", "tree", "--version", "1"]),
        ("a tree in place", vec!["--in-place", "seeded", "--name", "seeded", "--version", "1"]),
        ("a URL", [&private[..], &["--name", "f", "--version", "1", &url]].concat()),
        ("an image", [&private[..], &[&image]].concat()),
        ("a list of images", [&private[..], &["--from", "images.txt"]].concat()),
        ("a layout", vec!["oci:layout"]),
        ("an OCI archive", vec!["oci-archive:oci.tar"]),
        ("docker's archive", vec!["docker-archive:docker.tar"]),
        ("a chart", [&private[..], &[&charts, "web"]].concat()),
    ];
    for (kind, args) in &kinds {
        let before = place.rows_of_ls();
        let add = [&["add"], &args[..]].concat();
        for round in 0..=rounds {
            let said = place.run(&add);
            assert_eq!(said.code, Some(0), "{kind}: {said:?}");
            let already = said.stdout.contains("already released as ");
            assert_eq!(already, round > 0, "{kind}, again {round} times: {said:?}");
        }
        assert_eq!(place.rows_of_ls(), before + 1, "{kind}");
    }
}

impl Place {
    fn rows_of_ls(&self) -> usize {
        if self.path("data").exists() { self.rows(&["ls"]).len() } else { 0 }
    }
}
