//! Search: by every part of a name, by files and digests, at a cost that does not grow with the
//! number of releases.

use std::slice;

use perennial_manifest::{
    ArtifactList, ArtifactPath, Body, Entry, Purl, Release, Role, SignedEntry,
};
use perennial_store::Store;

use crate::fixtures::{key, open};

/// Adds a release of one file, whose content is its own name.
fn add(store: &Store, purl: &str, file: &str) -> SignedEntry {
    let key = key(1);
    let mut batch = store.batch();
    let added = batch.add_bytes(format!("{purl} {file}").into_bytes()).unwrap();
    let path = ArtifactPath::parse(file).unwrap();
    let file = added.artifact(path, Role::ImageManifest, "application/octet-stream");
    let (encoded, claim) = ArtifactList::new(vec![file]).unwrap().encode().unwrap();
    batch.add_bytes(encoded).unwrap();
    let _lease = batch.commit().unwrap();
    let next = store.feed(&key.id()).unwrap().next(None).unwrap();
    let release =
        Release { license: "MIT".into(), ..Release::new(Purl::parse(purl).unwrap(), claim) };
    let entry = Entry {
        publisher: key.id(),
        seq: next.seq,
        prevs: next.prevs,
        issued_at: 1,
        body: Body::Release(Box::new(release)),
    };
    let signed = entry.sign(&key).unwrap();
    store.put_entries(slice::from_ref(&signed)).unwrap();
    signed
}

fn found(store: &Store, text: &str) -> Vec<String> {
    store.search(text, 10).unwrap().iter().map(|row| row.purl.to_string()).collect()
}

const MINIO: &str = "pkg:docker/minio/minio@RELEASE.2025-01?repository_url=quay.io";
const KUBEKEY: &str = "pkg:generic/kubekey@v3.1.0";
const CHART: &str = "pkg:helm/minio@5.4.0?repository_url=http:%2F%2Fcharts.example:8080%2F";

#[test]
fn every_part_of_a_name_a_file_and_a_digest_find_a_release() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    add(&store, MINIO, "index.json");
    add(&store, KUBEKEY, "bin/kk-linux-amd64.tar.gz");
    add(&store, CHART, "minio-5.4.0.tgz");
    let check = |store: &Store| {
        for text in [
            "quay.io/minio/minio:RELEASE.2025-01",
            "docker://quay.io/minio/minio:RELEASE.2025-01",
            "quay.io",
            "quay",
            "quay.io minio",
            "RELEASE.2025-01",
            "release.2025",
            "docker minio",
            "index.json",
            "minio/minio@RELEASE.2025-01",
            "pkg:docker/minio/minio@RELEASE.2025-01",
            "minio index.json",
        ] {
            assert_eq!(found(store, text), [MINIO], "{text}");
        }
        for text in [
            "kube",
            "key",
            "ubeke",
            "v3.1.0",
            "3.1",
            "KubeKey",
            "kk-linux",
            "amd64.tar",
            "kubekey kk",
            "bin/kk-linux-amd64.tar.gz",
            "Bin/KK",
            "kubekey bin/kk",
        ] {
            assert_eq!(found(store, text), [KUBEKEY], "{text}");
        }
        for text in ["charts.example:8080", "minio:5.4.0", "example minio", "5.4.0.tgz"] {
            assert_eq!(found(store, text), [CHART], "{text}");
        }
        assert_eq!(found(store, "minio").len(), 2);
        for text in [
            "kubekey kk-windows",
            "quay.io kubekey",
            "v3.1.0.1",
            "-",
            "",
            "nosuch",
            "in/kk",
            "x/bin/kk",
            "bin/",
        ] {
            assert!(found(store, text).is_empty(), "{text}");
        }
        let row = &store.search("kubekey", 10).unwrap()[0];
        let file = store.read_list(&row.artifacts).unwrap().unwrap();
        let digest = file.iter().next().unwrap().sha256;
        for text in [
            digest.to_string(),
            digest.to_hex(),
            digest.to_string().to_uppercase(),
            format!("quay.io/x/y@{digest}"),
            row.release.to_string(),
            row.release.to_string()[..6].to_owned(),
        ] {
            assert_eq!(found(store, &text), [KUBEKEY], "{text}");
        }
        assert_eq!(store.releases_with(&digest, 10).unwrap()[0].release, row.release);
    };
    check(&store);
    store.rebuild_index().unwrap();
    check(&store);
}

#[test]
fn a_common_word_does_not_hide_the_rare_one_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..300 {
        add(&store, &format!("pkg:generic/tool@v{n}"), "tool.bin");
    }
    add(&store, "pkg:generic/tool@nightly", "tool.bin");
    for text in ["tool nightly", "tool@nightly", "tool.bin ightl", "nightly tool"] {
        assert_eq!(found(&store, text), ["pkg:generic/tool@nightly"], "{text}");
    }
    assert_eq!(found(&store, "tool").len(), 10, "the limit");
}
