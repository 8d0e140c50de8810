//! `docker-archive:`, as docker writes it before and since version 25.

use std::io::Write;

use perennial_manifest::Draft;
use serde_json::{Value, json};

use crate::layout::{Node, files, write_tar};
use crate::made::{LAYER, MANIFEST, Made, noise, sha256};

/// An image as saved before docker 25: two layers, the second behind a link.
fn old(node: &Node, name: &str, damage: bool, gzip: bool) -> String {
    let (first, second) = (noise(1, 90_000), noise(2, 500));
    let diff_ids = [sha256(&first), sha256(&second)];
    // Written out, because its digest is pinned below.
    let config = format!(
        r#"{{"architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}}"#,
        diff_ids[0], diff_ids[1]
    );
    let config_name = format!("{}.json", &sha256(config.as_bytes())[7..]);
    let list = json!([{ "Config": config_name, "RepoTags": ["app:1", "quay.io/team/app:2"],
        "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    let mut packed = first;
    if damage {
        packed[7] ^= 1;
    }
    if gzip {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&packed).unwrap();
        packed = encoder.finish().unwrap();
    }
    let path = node.path(name);
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut append = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    append("a/layer.tar", &packed);
    append("c/layer.tar", &second);
    append(&config_name, config.as_bytes());
    append("manifest.json", list.to_string().as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "b/layer.tar", "../c/layer.tar").unwrap();
    tar.finish().unwrap();
    format!("docker-archive:{}", path.display())
}

fn manifest(node: &Node, draft: &Draft) -> Value {
    let digest = draft.tags.values().next().unwrap();
    serde_json::from_slice(&node.read(draft, &format!("blobs/{}", digest.replace(':', "/"))))
        .unwrap()
}

#[tokio::test]
async fn an_old_archive_becomes_the_same_manifest_everywhere() {
    let node = Node::new();
    let source = old(&node, "old.tar", false, false);
    let imported = node.add(&source, None).await.unwrap();
    assert_eq!(imported.failed, []);
    let purls: Vec<_> = imported.drafts.iter().map(|draft| draft.purl.to_string()).collect();
    assert_eq!(
        purls,
        [
            "pkg:docker/library/app@1?repository_url=docker.io",
            "pkg:docker/team/app@2?repository_url=quay.io"
        ]
    );
    let draft = &imported.drafts[1];
    let manifest = manifest(&node, draft);
    assert_eq!(manifest["mediaType"], json!(MANIFEST));
    assert_eq!(
        manifest["layers"][0],
        json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": sha256(&noise(1, 90_000)), "size": 90_000 })
    );
    assert_eq!(manifest["layers"][1]["digest"], json!(sha256(&noise(2, 500))));
    assert_eq!(
        node.read(draft, &format!("blobs/{}", sha256(&noise(1, 90_000)).replace(':', "/"))),
        noise(1, 90_000)
    );
    // Pinned: a different digest would make it a different image for its present holders.
    assert_eq!(draft.tags["quay.io/team/app:2"], PINNED);
    let named = node.one(&format!("{source}:quay.io/team/app:2"), None).await;
    assert_eq!(&named.artifacts, &draft.artifacts);
}

/// The digest of the manifest generated for [`old`].
const PINNED: &str = "sha256:e929c879849701df2fc4f3a6c13d7b48ea14e4a815b7073f19722a57070c3a0d";

#[tokio::test]
async fn compressed_layers_are_compared_uncompressed() {
    let node = Node::new();
    let source = format!("{}:app:1", old(&node, "gz.tar", false, true));
    let draft = node.one(&source, None).await;
    assert_eq!(manifest(&node, &draft)["layers"][0]["mediaType"], json!(LAYER));
    for gzip in [true, false] {
        let damaged =
            node.add(&old(&node, "bad.tar", true, gzip), None).await.unwrap_err().to_string();
        assert!(damaged.contains("has the digest"), "{damaged}");
    }
}

#[tokio::test]
async fn a_new_archive_is_a_layout() {
    let node = Node::new();
    let mut made = Made::default();
    let image = made.image("{}", &[noise(1, 100)]);
    let name = json!({ "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.ref.name": "1" });
    let mut layout = files(&made, &[(&image, name)]);
    layout.push((
        "manifest.json".into(),
        b"[{\"Config\":\"wrong\",\"RepoTags\":null,\"Layers\":[]}]".to_vec(),
    ));
    write_tar(&node.path("new.tar"), &layout);
    let draft = node.one(&format!("docker-archive:{}", node.path("new.tar").display()), None).await;
    assert_eq!(
        draft.tags,
        [("docker.io/library/app:1".to_owned(), crate::made::digest_of(&image))].into()
    );
}

/// An archive of images, each with its config and the value of `Layers`.
fn without_layers(node: &Node, name: &str, images: &[(&str, Value, Value)]) -> String {
    let mut files = Vec::new();
    let mut list = Vec::new();
    for (tag, config, layers) in images {
        let config = config.to_string();
        let path = format!("{}.json", &sha256(config.as_bytes())[7..]);
        list.push(json!({ "Config": path, "RepoTags": [tag], "Layers": layers }));
        files.push((path, config.into_bytes()));
    }
    files.push(("manifest.json".into(), json!(list).to_string().into_bytes()));
    write_tar(&node.path(name), &files);
    format!("docker-archive:{}", node.path(name).display())
}

#[tokio::test]
async fn an_image_without_layers_need_not_say_so() {
    for (config, layers) in [
        (json!({ "rootfs": { "type": "layers", "diff_ids": null } }), Value::Null),
        (json!({ "rootfs": { "type": "layers" } }), json!([])),
        (json!({ "rootfs": null }), Value::Null),
        (json!({}), json!([])),
    ] {
        let node = Node::new();
        let source = without_layers(&node, "a.tar", &[("a.test/app:1", config, layers)]);
        let draft = node.one(&source, None).await;
        assert_eq!(manifest(&node, &draft)["layers"], json!([]));
    }
}

#[tokio::test]
async fn an_image_that_is_not_whole_costs_itself_only() {
    let node = Node::new();
    let lost = (json!({ "rootfs": { "diff_ids": [sha256(b"x")] } }), json!(["lost/layer.tar"]));
    let images = [("a.test/bad:1", lost.0, lost.1), ("a.test/good:1", json!({}), json!([]))];
    let source = without_layers(&node, "two.tar", &images);
    let imported = node.add(&source, None).await.unwrap();
    assert_eq!((imported.drafts.len(), imported.failed.len()), (1, 1));
    assert_eq!(imported.failed[0].what, "a.test/bad:1");
    let refused = node.add(&format!("{source}:a.test/bad:1"), None).await.unwrap_err();
    assert!(refused.to_string().contains("lost/layer.tar"), "{refused}");
}

#[tokio::test]
async fn an_archive_compressed_with_gzip_gives_the_same_image() {
    let node = Node::new();
    let source = old(&node, "old.tar", false, false);
    let plain = node.one(&format!("{source}:app:1"), None).await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&std::fs::read(node.path("old.tar")).unwrap()).unwrap();
    std::fs::write(node.path("old.tar.gz"), packed.finish().unwrap()).unwrap();
    let source = format!("docker-archive:{}:app:1", node.path("old.tar.gz").display());
    let draft = node.one(&source, None).await;
    assert_eq!((draft.artifacts, draft.tags), (plain.artifacts, plain.tags));
}
