//! The attacked node, which knows very many releases and follows five publishers; the honest node
//! that publishes for it; and the honest node that gets from it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use perennial_manifest::BlobId;
use perennial_store::{OpenOptions, Store};
use perennial_tests::{
    Daemon, Image, MIB, add, feed_key, field, http_get, many_releases, perennial, publisher, text,
    tool, wait_until, write_image, write_tree,
};

/// Publishers of the releases that are known and held by nobody.
const PUBLISHERS: u64 = 100;
/// How many of them are followed, beside the honest one.
const FOLLOWED: u64 = 4;
/// Bytes of the file of each honest release.
const FILE: usize = 300_000;

pub(super) struct Scene {
    /// The node that is attacked.
    pub(super) node: Daemon,
    /// Its honest publisher, which holds all that it signs.
    pub(super) publisher: Daemon,
    /// An honest node that is connected to the attacked one alone.
    pub(super) getter: Daemon,
    /// The publisher's key.
    pub(super) did: String,
    /// How many releases of `tool` the publisher has signed: versions 1 and so on.
    pub(super) tools: u64,
    /// Their artifact lists.
    pub(super) lists: Vec<BlobId>,
    /// The image that the attacked node has.
    pub(super) image: Image,
    /// Releases of each followed publisher that nobody has.
    pub(super) unheld: u64,
    /// The last field: it goes after the nodes in it.
    dir: tempfile::TempDir,
}

impl Scene {
    /// Makes the nodes, and waits until they know each other and the attacked one holds what it
    /// follows.
    pub(super) fn set(known: u64, tools: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        {
            let store = Store::open(&at("node"), OpenOptions::default()).expect("a store");
            for batch in many_releases(known, PUBLISHERS, tool).chunks(2000) {
                store.put_entries(batch).expect("stored");
            }
        }
        let publishing = Daemon::start(&at("publisher"), &[]);
        let did = publisher(publishing.data());
        let large = write_tree(&at("large"), 5, &[24 * MIB]);
        add(publishing.data(), &large, "large", "1");
        let mut lists = Vec::new();
        for version in 1..=tools {
            let source = write_tree(&dir.path().join(format!("tool-{version}")), version, &[FILE]);
            let added = add(publishing.data(), &source, "tool", &version.to_string());
            let shown = perennial(publishing.data(), &["show", field(&added, "release")]);
            lists.push(field(&shown.ok().json(), "list").parse().expect("a digest"));
        }

        let followed: Vec<_> = (0..FOLLOWED).map(|n| feed_key(n).id().to_string()).collect();
        let mut args = vec!["--peer", publishing.address(), "--http", "127.0.0.1:0"];
        // Harsher than the default: what strangers sign can be fetched by asking for it.
        args.push("--fetch-untrusted");
        followed.iter().chain([&did]).for_each(|did| args.extend(["--follow", did]));
        let node = Daemon::start(&at("node"), &args);
        let mut layer = vec![0; 2 * MIB];
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut layer);
        let image = write_image(&at("layout"), &layer);
        let layout = format!("oci:{}", at("layout").display());
        perennial(node.data(), &["add", &layout, "--ref", "quay.io/team/app:v1"]).ok();
        let getter = Daemon::start(&at("getter"), &["--peer", node.address()]);
        let unheld = known / PUBLISHERS;
        let scene =
            Self { node, publisher: publishing, getter, did, tools, lists, image, unheld, dir };
        wait_until(Duration::from_secs(600), "the node holds what it can", || {
            // The image of its own, the large file, and the tools.
            (scene.held() == tools + 2).then_some(())
        });
        wait_until(Duration::from_secs(60), "the getter is connected", || {
            let peers = perennial(scene.getter.data(), &["peers"]).ok().rows();
            peers.iter().any(|peer| peer["peer_id"] == scene.node.peer_id()).then_some(())
        });
        scene
    }

    /// The releases that the attacked node holds.
    pub(super) fn held(&self) -> u64 {
        let status = perennial(self.node.data(), &["status"]).ok().json();
        status["held_releases"].as_u64().expect("a number")
    }

    /// The `address:port` of the attacked node's HTTP.
    pub(super) fn http(&self) -> &str {
        self.node.http.as_deref().expect("it serves HTTP")
    }

    /// What the file of a tool has to be.
    pub(super) fn tool(&self, version: u64) -> Vec<u8> {
        fs::read(self.at(&format!("tool-{version}")).join("file-0.bin")).expect("ours")
    }

    /// A path in the scene's own directory.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Pulls the image from the attacked node as clients do: by skopeo where there is one, else by
    /// its own requests. Says why it failed.
    pub(super) fn pull(&self) -> Result<(), String> {
        let out = self.at("pulled");
        let _ = fs::remove_dir_all(&out);
        let name = format!("docker://{}/quay.io/team/app:v1", self.http());
        let skopeo = std::process::Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", &name])
            .arg(format!("dir:{}", text(&out)))
            .output();
        match skopeo {
            Ok(said) if said.status.success() => Ok(()),
            Ok(said) => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
            Err(_) => self.pull_by_hand(),
        }
    }

    fn pull_by_hand(&self) -> Result<(), String> {
        let Image { manifest, config, layer } = &self.image;
        let of = |what: &str| format!("/v2/quay.io/team/app/{what}");
        for (path, digest) in [
            ("/v2/".to_owned(), None),
            (of("manifests/v1"), Some(manifest)),
            (of(&format!("blobs/{config}")), Some(config)),
            (of(&format!("blobs/{layer}")), Some(layer)),
        ] {
            let (status, body) =
                http_get(self.http(), &path).map_err(|error| format!("{path}: {error}"))?;
            let came = perennial_oci::Digest::sha256_of(&body).to_string();
            if status != 200 || digest.is_some_and(|digest| *digest != came) {
                return Err(format!("{path}: {status}, {} bytes", body.len()));
            }
        }
        Ok(())
    }
}
