//! Names: found by the index, whatever else is known.

use std::slice;

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, Entry, Keypair, Purl, Release, Resolution, Selector, SignedEntry,
};
use perennial_store::{ReleaseFilter, Store};

use crate::fixtures::{follow, id, key, open, throughout};

/// Signs one release after the other.
fn sign(key: &Keypair, purls: impl IntoIterator<Item = String>) -> Vec<SignedEntry> {
    let mut signed: Vec<SignedEntry> = Vec::new();
    for (seq, purl) in (0..).zip(purls) {
        let blob = BlobId::of(purl.as_bytes());
        let list = ArtifactListRef { blob, count: 1, bytes: 1, size: 100 };
        let body = Body::Release(Box::new(Release::new(Purl::parse(&purl).unwrap(), list)));
        let prevs = signed.last().map(SignedEntry::id).into_iter().collect();
        let entry = Entry { publisher: key.id(), seq, prevs, issued_at: 1, body };
        signed.push(entry.sign(key).unwrap());
    }
    signed
}

fn selected(store: &Store, text: &str) -> Vec<String> {
    let filter = ReleaseFilter { selector: text.parse().ok(), ..ReleaseFilter::default() };
    store.releases(&filter).unwrap().iter().map(|row| row.purl.to_string()).collect()
}

#[test]
fn every_spelling_of_a_name_finds_its_releases_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let long = format!("pkg:generic/{}@1", "very-long-".repeat(12));
    let purls = [
        "pkg:docker/minio/minio@v1?repository_url=quay.io",
        "pkg:docker/minio/minio@v2?repository_url=quay.io",
        "pkg:generic/minio-client@v1",
        "pkg:generic/KubeKey@v3.1.0",
        "pkg:generic/a%2Fb@1",
        "pkg:npm/%40angular/core@16.0.0",
        "pkg:docker/library/nginx@1.25?repository_url=docker.io",
        &long,
    ];
    let signed = sign(&key(1), purls.map(str::to_owned));
    store.put_entries(&signed).unwrap();
    throughout(store, dir.path(), |store| {
        for (text, expected) in [
            ("minio", &purls[..2]),
            ("quay.io/minio/minio:v1", &purls[..1]),
            ("pkg:docker/minio/minio", &purls[..2]),
            ("pkg:docker/minio/minio@v2", &purls[1..2]),
            ("minio-client", &purls[2..3]),
            ("KubeKey@v3.1.0", &purls[3..4]),
            ("a/b@1", &purls[4..5]),
            ("@angular/core@16.0.0", &purls[5..6]),
            ("nginx:1.25", &purls[6..7]),
            ("pkg:docker/nginx", &purls[6..7]),
            (&long, &purls[7..]),
            ("kubekey", &[]),
            ("client", &[]),
            ("quay.io", &[]),
            ("docker.io/minio/minio", &[]),
        ] {
            assert_eq!(selected(store, text), expected, "{text}");
        }
        let near = |text: &str| store.near(&text.parse().unwrap(), 5).unwrap();
        for (text, expected) in [
            ("kubekey", purls[3]),
            ("ukbekey@v3.1.0", purls[3]),
            ("minoi-client", purls[2]),
            ("quay.io/minio/mini:v2", purls[1]),
        ] {
            assert_eq!(near(text).first().map(ToString::to_string).as_deref(), Some(expected));
        }
        assert!(near("nosuchthing").is_empty());
        let briefly = store.near_briefly(&"kubkey".parse().unwrap(), 5).unwrap();
        assert_eq!(briefly.len(), 1, "it begins alike");
        assert!(store.near_briefly(&"ukbekey".parse().unwrap(), 5).unwrap().is_empty());
    });
}

#[test]
fn the_beginning_of_an_id_finds_its_release_in_any_pack() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let signed = sign(&key(1), (0..300).map(|n| format!("pkg:generic/tool-{n}@1")));
    store.put_entries(&signed).unwrap();
    throughout(store, dir.path(), |store| {
        for entry in signed.iter().step_by(29) {
            let whole = entry.id().to_hex();
            for digits in [7, 8, 31, 63] {
                let text = whole[..digits].to_uppercase();
                let selector: Selector = text.parse().unwrap();
                assert!(matches!(selector, Selector::ReleasePrefix(_)));
                let filter = ReleaseFilter { selector: Some(selector), ..ReleaseFilter::default() };
                let found = store.releases(&filter).unwrap();
                assert_eq!(found.len(), 1, "{text}");
                assert_eq!(found[0].release, id(entry));
            }
        }
    });
}

#[test]
fn any_number_of_strangers_hides_no_statement_of_a_followed_publisher() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // The strangers come first, so that their rows lie before those of the followed publisher.
    for stranger in 2..5 {
        let versions = (0..200).map(|n| format!("pkg:generic/kubekey@v3.1.{n}"));
        store.put_entries(&sign(&key(stranger), versions)).unwrap();
    }
    let own = sign(&key(1), ["pkg:generic/kubekey@v3.1.0".to_owned()]);
    store.put_entries(slice::from_ref(&own[0])).unwrap();
    let (name, me) = ("kubekey@v3.1.0".parse().unwrap(), key(9).id());
    let resolve =
        |only: Option<u8>| store.resolve(&name, &me, only.map(|n| key(n).id()).as_ref()).unwrap();
    assert!(matches!(resolve(None), Resolution::Strangers(all) if all.len() == 4));
    assert!(matches!(resolve(Some(1)), Resolution::Found(f) if f[0].release == id(&own[0])));
    follow(&store, &key(1));
    assert!(matches!(resolve(None), Resolution::Found(f) if f[0].release == id(&own[0])));
    let whole = store.resolve(&"kubekey".parse().unwrap(), &me, None).unwrap();
    assert!(matches!(whole, Resolution::Found(f) if f.len() == 1), "only their versions count");
    follow(&store, &key(2));
    let by_id = store.resolve(&own[0].id().to_hex().parse().unwrap(), &me, None).unwrap();
    assert!(matches!(by_id, Resolution::Found(f) if f.len() == 1), "an id has one release");
}

#[test]
fn other_versions_of_a_name_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for stranger in 2..5 {
        let versions = (0..50).map(|n| format!("pkg:generic/kubekey@v3.1.{n}"));
        store.put_entries(&sign(&key(stranger), versions)).unwrap();
    }
    store.put_entries(&sign(&key(1), ["pkg:generic/kubekey@v4".to_owned()])).unwrap();
    throughout(store, dir.path(), |store| {
        let find = |text: &str, publisher: Option<u8>, looked_at: usize| {
            let (selector, publisher) = (text.parse().ok(), publisher.map(|n| key(n).id()));
            let filter =
                ReleaseFilter { selector, publisher, looked_at, ..ReleaseFilter::default() };
            store.releases(&filter).unwrap().len()
        };
        assert_eq!(find("kubekey@v4", None, 1), 1);
        assert_eq!(find("kubekey:v4", Some(1), 1), 1);
        assert_eq!(find("pkg:generic/kubekey@v4", None, 1), 1);
        assert_eq!(find("kubekey@v3.1.7", None, 3), 3);
        assert_eq!(find("kubekey@v3.1.7", Some(4), 1), 1);
        assert_eq!(find("kubekey", Some(4), 0), 50);
        assert_eq!(find("kubekey", None, 60), 60);
    });
    assert_eq!(store_without(dir.path(), 3).len(), 2);
}

/// The releases of one version after a publisher was forgotten.
fn store_without(dir: &std::path::Path, forgotten: u8) -> Vec<String> {
    let store = open(dir);
    store.forget(&key(forgotten).id()).unwrap();
    selected(&store, "kubekey@v3.1.7")
}

#[test]
fn a_question_that_has_to_be_brief_asks_trusted_publishers_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let noise = (0..2100).map(|n| format!("pkg:generic/kubekey@v3.1.{n}"));
    store.put_entries(&sign(&key(2), noise)).unwrap();
    let image = "pkg:docker/team/kubekey@v1?repository_url=quay.io".to_owned();
    store.put_entries(&sign(&key(1), [image])).unwrap();
    let find = |text: &str, publisher: Option<u8>, limit: usize| {
        let publisher = publisher.map(|n| key(n).id());
        store.named_briefly(&text.parse().unwrap(), publisher.as_ref(), limit).unwrap().len()
    };
    assert_eq!(find("quay.io/team/kubekey", None, 10), 0, "among too many of strangers");
    assert_eq!(find("quay.io/team/kubekey", Some(1), 10), 1);
    assert_eq!(find("quay.io/team/kubekey:v1", None, 10), 1);
    assert_eq!((find("kubekey", None, 10), find("kubekey", None, 0)), (10, 0));
    follow(&store, &key(1));
    assert_eq!(find("quay.io/team/kubekey", None, 10), 1);
}
