//! Registries that answer oddly: what is there comes all the same, and nothing is lost in silence.

use serde_json::json;

use crate::made::{CONFIG, INDEX, MANIFEST, digest_of, noise};
use crate::registry::{Node, named, only, tags};
use crate::upstream::{Answer, Upstream, World};

pub(super) fn list(tags: &[&str], link: Option<String>) -> Option<Answer> {
    let body = json!({ "tags": tags }).to_string();
    let link = link.map_or(("x-none", String::new()), |link| ("link", link));
    Some((200, link, body))
}

/// A registry that answers requests for lists of tags oddly.
pub(super) async fn listing(
    mut odd: impl FnMut(&str) -> Option<Answer> + Send + 'static,
) -> String {
    let odd = Box::new(move |path: &str| if path.contains("/tags/") { odd(path) } else { None });
    let upstream = Upstream::start(World { odd: Some(odd), ..World::default() }).await;
    format!("docker://{}/app", upstream.host)
}

pub(super) fn versions(images: &[String]) -> Vec<&str> {
    images.iter().filter_map(|image| image.rsplit_once(':')).map(|(_, tag)| tag).collect()
}

#[tokio::test]
async fn every_page_of_tags_is_read_in_every_form_of_link() {
    for link in [
        "<https://127.0.0.1:1/v2/app/tags/list?last=v2>; rel=\"next\"",
        "<http://registry.internal:5000/v2/app/tags/list?last=v2>; rel=\"next\"",
        "/v2/app/tags/list?last=v2; rel=\"next\"",
        "</v2/app/tags/list>; rel=\"first\", </v2/app/tags/list?last=v2>; rel=\"next\"",
        "</v2/app/tags/list?empty>; rel=\"next\"",
        "</elsewhere/tags/list?refused>; rel=\"next\"",
    ] {
        let name = listing(move |path| {
            if path.contains("refused") {
                Some((404, ("x-none", String::new()), String::new()))
            } else if path.contains("empty") {
                let link = "</v2/app/tags/list?last=v2>; rel=\"next\"".to_owned();
                list(&[], Some(link))
            } else if path.contains("last=") {
                list(&["v3", "v4"], None)
            } else {
                list(&["v1", "v2"], Some(link.to_owned()))
            }
        })
        .await;
        let (images, failed) = tags(&name).await.unwrap();
        assert_eq!((versions(&images), failed), (vec!["v1", "v2", "v3", "v4"], vec![]), "{link}");
    }
}

#[tokio::test]
async fn an_incomplete_tag_list_is_reported_and_its_tags_are_kept() {
    let name = listing(|path| {
        if path.contains("last=") || path.contains("next") {
            Some((404, ("x-none", String::new()), String::new()))
        } else {
            list(&["v1", "v2"], Some("</v2/app/tags/next>; rel=next".to_owned()))
        }
    })
    .await;
    let (images, failed) = tags(&name).await.unwrap();
    assert_eq!((versions(&images), failed.len()), (vec!["v1", "v2"], 1));
    assert!(failed[0].reason.contains("next page cannot be read"), "{failed:?}");
}

#[tokio::test]
async fn an_entry_that_is_not_a_tag_costs_no_other() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let name = listing({
        let digest = digest.clone();
        move |_| list(&["v1", &digest, "v2"], None)
    })
    .await;
    let (images, failed) = tags(&name).await.unwrap();
    assert_eq!((versions(&images), failed.len()), (vec!["v1", "v2"], 1));
    assert!(failed[0].reason.contains(&digest), "{failed:?}");
}

#[tokio::test]
async fn refusals_for_absent_tags_do_not_hide_a_signature() {
    for status in [400, 401, 403, 404, 405, 501] {
        let mut world = World::default();
        let image = world.made.image("{}", &[b"layer".to_vec()]);
        world.tags.insert("app:v1".into(), digest_of(&image));
        let signature = world.made.signature(None, "by tag");
        let tag = format!("{}.sig", digest_of(&image).replace(':', "-"));
        world.tags.insert(format!("app:{tag}"), digest_of(&signature));
        world.odd = Some(Box::new(move |path| {
            let absent = path.contains("/referrers/")
                || (path.contains("/manifests/sha256-") && !path.ends_with(".sig"));
            absent.then(|| (status, ("x-none", String::new()), String::new()))
        }));
        let upstream = Upstream::start(world).await;
        let imported = Node::new().one(&format!("docker://{}/app:v1", upstream.host)).await;
        let path = format!("blobs/{}", digest_of(&signature).replace(':', "/"));
        let draft = only(&imported);
        assert!(draft.artifacts.iter().any(|file| file.path.as_str() == path), "{status}");
    }
}

/// The parsed manifest with this digest.
fn read(world: &World, digest: &str) -> serde_json::Value {
    serde_json::from_slice(&world.made.0[digest].1).unwrap()
}

#[tokio::test]
async fn a_platform_that_is_missing_or_lacks_a_blob_costs_only_itself() {
    for part in ["the manifest", "a layer", "the config"] {
        let mut world = World::default();
        let index = world.made.index(1, &["amd64", "arm64"]);
        let platform = digest_of(&read(&world, &digest_of(&index))["manifests"][1]);
        let image = read(&world, &platform);
        let lost = match part {
            "a layer" => digest_of(&image["layers"][1]),
            "the config" => digest_of(&image["config"]),
            _ => platform.clone(),
        };
        world.made.0.remove(&lost);
        world.tags.insert("app:v1".into(), digest_of(&index));
        let upstream = Upstream::start(world).await;
        let imported = Node::new().one(&format!("docker://{}/app:v1", upstream.host)).await;
        assert_eq!((imported.drafts.len(), imported.failed.len()), (1, 1), "{part}");
        let perennial_import::Failed { what, reason, .. } = &imported.failed[0];
        assert!(what.contains("linux/arm64") && what.contains(&platform), "{what}");
        assert!(what.contains(&lost) || reason.contains(&lost), "{reason}");
        let draft = &imported.drafts[0];
        let notes = draft.notes.as_deref().unwrap();
        assert!(notes.contains("perennial/left-out") && notes.contains(&platform), "{notes}");
        // Nothing is there of what only the lost platform consists of: the layout's two files, the
        // index, and of the other platform a manifest, a config and two layers.
        assert_eq!(draft.artifacts.len(), 7, "{part}");
    }
}

#[tokio::test]
async fn an_image_with_only_statements_left_is_not_an_image() {
    let mut world = World::default();
    let layer = noise(1, 300_000);
    let mut image = world.made.image("{}", std::slice::from_ref(&layer));
    let mut attestation = world.made.image("{}", &[b"an SBOM".to_vec()]);
    image["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": digest_of(&image),
    });
    let (layer, manifest) = (crate::made::sha256(&layer), digest_of(&image));
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [image, attestation],
    });
    let index = world.made.manifest(&index);
    for lost in [layer, manifest] {
        let mut world = World { made: world.made.clone(), ..World::default() };
        world.made.0.remove(&lost);
        world.tags.insert("app:v1".into(), digest_of(&index));
        let upstream = Upstream::start(world).await;
        let imported = Node::new().one(&format!("docker://{}/app:v1", upstream.host)).await;
        assert_eq!((imported.drafts.len(), imported.failed.len()), (0, 1), "{lost}");
    }
}

#[tokio::test]
async fn descriptors_that_go_accepts_are_accepted() {
    let mut world = World::default();
    let config = world.made.put(CONFIG, b"{}".to_vec());
    let layer = world.made.put("a/b", b"layer".to_vec());
    let (mut noted, mut untyped, mut empty) = (layer.clone(), layer.clone(), config.clone());
    noted["annotations"] = json!({ "a": null });
    untyped.as_object_mut().unwrap().remove("mediaType");
    empty["platform"] = json!({});
    for (tag, config, layer) in
        [("noted", &config, &noted), ("untyped", &config, &untyped), ("empty", &empty, &layer)]
    {
        let image = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        });
        let mut image = world.made.manifest(&image);
        world.tags.insert(format!("app:{tag}"), digest_of(&image));
        for (kind, platform) in [("none", json!({})), ("os", json!({ "os": "linux" }))] {
            image["platform"] = platform;
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [image] });
            let index = world.made.manifest(&index);
            world.tags.insert(format!("app:{tag}-{kind}"), digest_of(&index));
        }
    }
    let tags: Vec<_> = world.tags.keys().cloned().collect();
    let upstream = Upstream::start(world).await;
    for tag in tags {
        only(&Node::new().one(&format!("docker://{}/{tag}", upstream.host)).await);
    }
}

#[tokio::test]
async fn a_refusal_with_retry_after_is_waited_for() {
    let mut world = World::default();
    let image = world.made.image("{}", &[b"layer".to_vec()]);
    world.tags.insert("app:v1".into(), digest_of(&image));
    let mut left = 2;
    world.odd = Some(Box::new(move |path| {
        let is_busy = left > 0 && path.contains("/manifests/");
        left -= i32::from(is_busy);
        is_busy.then(|| (403, ("retry-after", "0".to_owned()), String::new()))
    }));
    let upstream = Upstream::start(world).await;
    only(&named_one(&upstream).await);
}

async fn named_one(upstream: &Upstream) -> perennial_import::Imported {
    Node::new().add(&named(&[&format!("docker://{}/app:v1", upstream.host)])).await.unwrap()
}
