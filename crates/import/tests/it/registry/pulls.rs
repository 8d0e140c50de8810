//! Pulls from a registry that behaves.

use perennial_import::Images;
use perennial_manifest::{Artifact, Role, Verdict};
use serde_json::{Value, json};

use crate::made::{LAYER, MANIFEST, Made, digest_of, noise, sha256, sha512};
use crate::registry::{Node, at, blob, named, only, tags};
use crate::upstream::{Upstream, World};

/// A registry with `team/app:v1`, an image for two platforms; returns its index.
async fn upstream() -> (Upstream, Value) {
    let mut world = World { page: 100, ..World::default() };
    let index = world.made.index(1, &["amd64", "arm64"]);
    world.tags.insert("team/app:v1".into(), digest_of(&index));
    (Upstream::start(world).await, index)
}

#[tokio::test]
async fn an_image_of_all_platforms_is_kept_byte_for_byte() {
    let (upstream, index) = upstream().await;
    let node = Node::new();
    let name = format!("{}/team/app:v1", upstream.host);
    let imported = node.one(&format!("docker://{name}")).await;
    let draft = only(&imported);
    let made = upstream.world().made.clone();
    assert_eq!(
        draft.purl.to_string().replace("%3A", ":"),
        format!("pkg:docker/team/app@v1?repository_url={}", upstream.host)
    );
    assert_eq!(draft.tags, [(name.clone(), digest_of(&index))].into());
    assert_eq!(draft.from, format!("docker://{name}"));
    assert_eq!(draft.artifacts.len(), made.0.len() + 2);
    for (digest, (media_type, bytes)) in &made.0 {
        let artifact = blob(draft, digest);
        assert_eq!((&node.bytes(artifact), &artifact.media_type), (bytes, media_type));
        assert_eq!(artifact.origins, [""; 0], "a mirror would make another list");
    }
    assert_eq!(node.bytes(at(draft, "oci-layout")), br#"{"imageLayoutVersion":"1.0.0"}"#);
    let written: Value = serde_json::from_slice(&node.bytes(at(draft, "index.json"))).unwrap();
    let mut root = index.clone();
    root["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let wanted = json!({ "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [root] });
    assert_eq!(written, wanted);
    assert_eq!(blob(draft, &digest_of(&index)).role, Role::ImageIndex);
    let shared = blob(draft, &sha256(&noise(1, 300_000)));
    assert_eq!((shared.role, &shared.platform), (Role::ImageLayer, &None));
    let own = blob(draft, &sha256(&noise(3, 5_000)));
    assert_eq!(own.platform.as_ref().map(|p| p.arch.as_str()), Some("arm64"));
    let [seen] = &draft.observations[..] else { panic!("one observation") };
    let root = blob(draft, &digest_of(&index));
    assert_eq!(
        (&seen.url, seen.status, seen.size),
        (&format!("docker://{name}"), Some(200), Some(root.size))
    );
    assert_eq!((seen.sha256, seen.verdict), (Some(root.sha256), Verdict::Same));
    let bytes: u64 = draft.artifacts.iter().map(|artifact| artifact.size).sum();
    assert_eq!(imported.new_bytes, bytes);
    assert!(node.arriving().is_empty());
}

#[tokio::test]
async fn an_import_of_one_platform_keeps_the_whole_index() {
    let (upstream, index) = upstream().await;
    let node = Node::new();
    let name = format!("docker://{}/team/app:v1", upstream.host);
    let what = Images { platforms: vec!["linux/arm64".into()], ..named(&[&name]) };
    let imported = node.add(&what).await.unwrap();
    let draft = only(&imported);
    // `oci-layout`, `index.json`, index, manifest, config, two layers.
    assert_eq!(draft.artifacts.len(), 7);
    assert!(node.bytes(blob(draft, &digest_of(&index))).len() > 100);
    assert!(
        draft
            .artifacts
            .iter()
            .all(|artifact| artifact.blake3 != perennial_manifest::BlobId::of(&noise(2, 5_000)))
    );
    let what = Images { platforms: vec!["linux/s390x".into()], ..named(&[&name]) };
    let imported = node.add(&what).await.unwrap();
    assert!(imported.drafts.is_empty());
    assert!(
        imported.failed[0].reason.contains("linux/amd64, linux/arm64"),
        "{:?}",
        imported.failed
    );
}

#[tokio::test]
async fn a_rerun_fetches_no_bytes_again() {
    let (upstream, _) = upstream().await;
    let node = Node::new();
    let name = format!("docker://{}/team/app:v1", upstream.host);
    let first = node.one(&name).await;
    upstream.asked();
    let second = node.one(&name).await;
    assert_eq!(only(&first).artifacts, only(&second).artifacts);
    assert_eq!(second.new_bytes, 0);
    for asked in upstream.asked() {
        let fetched = asked.method == "GET"
            && (asked.path.contains("/blobs/") || asked.path.contains("manifests/sha256:"));
        assert!(!fetched, "{asked:?}");
    }
}

#[tokio::test]
async fn signatures_come_by_the_api_the_fallback_tag_and_cosigns_tag() {
    let mut lists = Vec::new();
    for with_api in [true, false] {
        let (upstream, index) = upstream().await;
        let digest = digest_of(&index);
        let tag = format!("{}.sig", digest.replace(':', "-"));
        let (by_referrer, of_it, by_tag) = {
            let mut world = upstream.world();
            let referrer = world.made.signature(Some(&index), "by referrer");
            let of_it = world.made.signature(Some(&referrer), "about the statement");
            let tagged = world.made.signature(None, "by tag");
            world.tags.insert(format!("team/app:{tag}"), digest_of(&tagged));
            let of = [
                (digest.clone(), vec![referrer.clone()]),
                (digest_of(&referrer), vec![of_it.clone()]),
            ];
            if with_api {
                world.referrers = Some(of.into());
            } else {
                for (subject, said) in of {
                    let said = json!({ "schemaVersion": 2, "mediaType": crate::made::INDEX,
                        "manifests": said });
                    let index = world.made.manifest(&said);
                    world.tags.insert(
                        format!("team/app:{}", subject.replace(':', "-")),
                        digest_of(&index),
                    );
                }
            }
            (digest_of(&referrer), digest_of(&of_it), digest_of(&tagged))
        };
        let node = Node::new();
        let imported = node.one(&format!("docker://{}/team/app:v1", upstream.host)).await;
        let draft = only(&imported);
        for said in [&by_referrer, &of_it, &by_tag, &sha256(b"by tag"), &sha256(b"by referrer")] {
            assert_eq!(blob(draft, said).role, Role::Signature);
        }
        let written: Value = serde_json::from_slice(&node.bytes(at(draft, "index.json"))).unwrap();
        let named: Vec<_> =
            written["manifests"].as_array().unwrap().iter().map(digest_of).collect();
        let mut wanted = vec![by_referrer, of_it, by_tag.clone()];
        wanted.sort();
        wanted.insert(0, digest);
        assert_eq!(named, wanted);
        let signed = written["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .find(|m| digest_of(m) == by_tag)
            .unwrap();
        assert_eq!(signed["annotations"]["org.opencontainers.image.ref.name"], json!(tag));
        let list: Vec<_> = draft
            .artifacts
            .iter()
            .map(|a| (a.path.clone(), a.blake3, a.role, a.media_type.clone()))
            .collect();
        lists.push(list);
    }
    assert_eq!(lists[0], lists[1], "one image, one list, whatever the registry speaks");
}

#[tokio::test]
async fn all_tags_of_all_pages_come_and_signatures_are_not_images() {
    let (upstream, index) = upstream().await;
    {
        let mut world = upstream.world();
        world.page = 2;
        for at in 2..6u32 {
            let image = world.made.image(&format!(r#"{{"n":{at}}}"#), &[noise(at * 100, 100)]);
            world.tags.insert(format!("team/app:v{at}"), digest_of(&image));
        }
        let signature = world.made.signature(None, "by tag");
        world.tags.insert(
            format!("team/app:{}.sig", digest_of(&index).replace(':', "-")),
            digest_of(&signature),
        );
    }
    let node = Node::new();
    let name = format!("docker://{}/team/app", upstream.host);
    let (images, failed) = tags(&name).await.unwrap();
    assert_eq!(failed, []);
    let wanted: Vec<_> = (1..6).map(|at| format!("{name}:v{at}")).collect();
    assert_eq!(images, wanted);
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    let imported = node.add(&named(&images)).await.unwrap();
    assert_eq!((imported.drafts.len(), &imported.failed[..]), (5, &[][..]));
    let tagged = tags(&format!("{name}:v1")).await.unwrap_err();
    assert!(tagged.to_string().contains("all tags"), "{tagged}");
}

#[tokio::test]
async fn charts_docker_manifests_sha512_and_digests_are_imported() {
    let mut made = Made::default();
    let config = made.put("application/vnd.cncf.helm.config.v1+json", b"{}".to_vec());
    let chart = made.put("application/vnd.cncf.helm.chart.content.v1.tar+gzip", noise(7, 2_000));
    let chart_manifest = made.manifest(
        &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [chart] }),
    );
    let config =
        made.put("application/vnd.docker.container.image.v1+json", br#"{"docker":1}"#.to_vec());
    let layer = made.put("application/vnd.docker.image.rootfs.diff.tar.gzip", noise(8, 2_000));
    let by_sha512 = noise(9, 90_000);
    made.0.insert(sha512(&by_sha512), (LAYER.into(), by_sha512.clone()));
    let other =
        json!({ "mediaType": LAYER, "digest": sha512(&by_sha512), "size": by_sha512.len() });
    let foreign = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": sha256(b"windows"), "size": 7,
    });
    let docker = made.manifest(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": config, "layers": [layer, other, foreign],
    }));
    let tags = [("charts/ks:1".to_owned(), digest_of(&chart_manifest))].into();
    let upstream = Upstream::start(World { made, tags, ..World::default() }).await;
    let node = Node::new();
    let imported = node.one(&format!("docker://{}/charts/ks:1", upstream.host)).await;
    assert_eq!(blob(only(&imported), &digest_of(&chart)).role, Role::Chart);
    let digest = digest_of(&docker);
    let imported = node.one(&format!("docker://{}/old@{digest}", upstream.host)).await;
    let draft = &imported.drafts[0];
    assert_eq!((draft.purl.version(), draft.tags.len()), (Some(digest.as_str()), 0));
    assert_eq!(node.bytes(blob(draft, &sha512(&by_sha512))), by_sha512);
    assert_eq!(
        blob(draft, &digest).media_type,
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    assert_eq!(imported.failed.len(), 1, "the foreign layer: {:?}", imported.failed);
    assert!(imported.failed[0].what.contains(&sha256(b"windows")));
}

#[tokio::test]
async fn a_blob_with_a_sha512_name_is_fetched_once() {
    let mut made = Made::default();
    let layer = noise(9, 90_000);
    made.0.insert(sha512(&layer), (LAYER.into(), layer.clone()));
    let layer = json!({ "mediaType": LAYER, "digest": sha512(&layer), "size": layer.len() });
    let other = made.put(LAYER, noise(10, 90_000));
    let mut tags = std::collections::BTreeMap::new();
    for tag in ["1", "2"] {
        let config = made.put(crate::made::CONFIG, format!(r#"{{"tag":{tag}}}"#).into_bytes());
        let layers = [&layer, &other];
        let image = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
            "layers": layers });
        tags.insert(format!("team/app:{tag}"), digest_of(&made.manifest(&image)));
    }
    let upstream = Upstream::start(World { made, tags, ..World::default() }).await;
    let fetched =
        || upstream.asked().iter().filter(|asked| asked.path.contains("/blobs/sha512:")).count();
    let names = ["1", "2"].map(|tag| format!("docker://{}/team/app:{tag}", upstream.host));
    let node = Node::new();
    // Within one import.
    let imported = node.add(&named(&names.each_ref().map(String::as_str))).await.unwrap();
    assert_eq!((imported.drafts.len(), fetched()), (2, 1));
    // And through the signed list of an earlier import, unless that list is false.
    let mut lie = imported.drafts[0].clone();
    let other = blob(&lie, &digest_of(&other)).clone();
    let wrong = lie
        .artifacts
        .iter_mut()
        .find(|artifact| artifact.path.as_str().contains("/sha512/"))
        .unwrap();
    *wrong = Artifact { path: wrong.path.clone(), ..other };
    node.sign([1; 32], &lie);
    assert_eq!(only(&node.one(&names[1]).await).artifacts, imported.drafts[1].artifacts);
    assert_eq!(fetched(), 1);
    node.sign([2; 32], &imported.drafts[1]);
    assert_eq!(only(&node.one(&names[0]).await).artifacts, imported.drafts[0].artifacts);
    assert_eq!(fetched(), 0);
}
