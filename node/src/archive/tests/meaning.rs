//! The meanings of digests: images by their manifests, files by theirs, and one file of a release.

use std::slice;

use perennial_manifest::{
    ArtifactList, ArtifactPath, Body, Candidate, Keypair, Purl, Release, ReleaseId, Role, Selector,
    Sha256Digest,
};
use perennial_store::Pin;

use super::Machine;
use crate::archive::{ArchiveError, Meaning, Unresolved};

/// The digests of an image's manifest and of its layer.
struct Image {
    release: ReleaseId,
    manifest: Sha256Digest,
    layer: Sha256Digest,
}

/// Signs a release of an image with the machine's key: a tag of its own, a manifest and a layer.
fn image(machine: &Machine, seed: u8, tag: &str, manifest: &str) -> Image {
    let (store, key) = (machine.store(), Keypair::from_seed([seed; 32]));
    let mut batch = store.batch();
    let mut add = |path: &str, bytes: &str, role| {
        let added = batch.add_bytes(bytes.as_bytes().to_vec()).unwrap();
        added.artifact(ArtifactPath::parse(path).unwrap(), role, "application/octet-stream")
    };
    let files = vec![
        add("index.json", tag, Role::ImageIndex),
        add("blobs/m", manifest, Role::ImageManifest),
        add("blobs/l", &format!("layer of {manifest}"), Role::ImageLayer),
    ];
    let (manifest, layer) = (files[1].sha256, files[2].sha256);
    let (encoded, claim) = ArtifactList::new(files).unwrap().encode().unwrap();
    batch.add_bytes(encoded).unwrap();
    let _lease = batch.commit().unwrap();
    let purl = format!("pkg:docker/minio/minio@{tag}?repository_url=quay.io");
    let release =
        Release { license: "MIT".into(), ..Release::new(Purl::parse(&purl).unwrap(), claim) };
    let next = store.feed(&key.id()).unwrap().next(None).unwrap();
    let signed = next.entry(key.id(), 1, Body::Release(Box::new(release))).sign(&key).unwrap();
    store.put_entries(slice::from_ref(&signed)).unwrap();
    Image { release: signed.id().into(), manifest, layer }
}

async fn meant(machine: &Machine, text: &str) -> Result<Meaning, ArchiveError> {
    let selector: Selector = text.parse().unwrap();
    machine.archive.meaning(&selector, None, true, &()).await
}

fn release(meaning: Result<Meaning, ArchiveError>) -> ReleaseId {
    match meaning {
        Ok(Meaning::Release(found)) => found[0].release,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_means_its_image_and_a_layer_itself() {
    let machine = Machine::new(1);
    let one = image(&machine, 1, "v1", "the manifest");
    for text in [
        one.manifest.to_string(),
        one.manifest.to_hex(),
        one.manifest.to_hex().to_uppercase(),
        format!("quay.io/minio/minio@{}", one.manifest),
        format!("docker://quay.io/minio/minio:v1@{}", one.manifest),
    ] {
        assert_eq!(release(meant(&machine, &text).await), one.release, "{text}");
    }
    for text in [one.layer.to_string(), one.layer.to_hex()] {
        let layer = meant(&machine, &text).await;
        assert!(matches!(layer, Ok(Meaning::Blob { sha256: Some(_), .. })), "{layer:?}");
        // To look at, a file means its release.
        let selector: Selector = text.parse().unwrap();
        let shown = machine.archive.look(&selector, None, &()).await.unwrap();
        assert_eq!(shown[0].release, one.release);
    }
    let pinned = machine.archive.pin(&one.manifest.to_string().parse().unwrap(), None, &()).await;
    assert_eq!(pinned.unwrap(), Pin::Release(one.release));

    let two = image(&machine, 1, "latest", "the manifest");
    let several = meant(&machine, &one.manifest.to_string()).await.unwrap_err();
    let releases: Vec<Candidate> =
        several.claims().iter().map(|claim| claim.candidate.clone()).collect();
    assert_eq!(releases.len(), 2, "{several}");
    assert!(releases.iter().any(|candidate| candidate.release == two.release));
    assert!(several.hint().is_some_and(|hint| hint.contains("a part of each")), "{several}");
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_publishers_say_which_image_a_manifest_means() {
    let machine = Machine::new(1);
    let ours = image(&machine, 1, "v1", "the manifest");
    image(&machine, 2, "stranger", "the manifest");
    assert_eq!(release(meant(&machine, &ours.manifest.to_string()).await), ours.release);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_digest_is_unknown() {
    let machine = Machine::new(1);
    let unknown = meant(&machine, &format!("sha256:{}", "7".repeat(64))).await.unwrap_err();
    assert!(matches!(unknown, ArchiveError::NoClaim(_)), "{unknown}");
    let bare = meant(&machine, &"7".repeat(64)).await.unwrap_err();
    assert!(
        matches!(&bare, ArchiveError::Unresolved(why)
            if matches!(**why, Unresolved::NotFound { .. })),
        "{bare}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_a_release_is_fetched_alone() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let files: &[(&str, &[u8])] = &[("bin/kk", b"kk"), ("docs/a", b"a"), ("docs/b", b"b")];
    let added = other.add("pkg:generic/kubekey@1", files).await;
    machine.learn(&other);
    let paths = ["kk".to_owned()];
    let fetched = machine.archive.fetch_files(added.release, &paths, &()).await.unwrap();
    let names: Vec<_> = fetched.list.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(names, ["bin/kk"]);
    assert_eq!(machine.state(&added.release), Some(perennial_manifest::Holding::Partial));
    assert_eq!(fetched.list.total_bytes(), 2);
    let missing = ["docs/c".to_owned()];
    let missing = machine.archive.fetch_files(added.release, &missing, &()).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "pkg:generic/kubekey@1 has no file \"docs/c\"; it has docs/a, docs/b"
    );
}
