//! `oci:` and `oci-archive:`.

use perennial_import::{Failed, ImportError};
use perennial_manifest::Role;
use serde_json::{Value, json};

use crate::layout::{Node, files, tagged, write_dir, write_tar};
use crate::made::{Made, digest_of, noise};

#[tokio::test]
async fn a_directory_and_an_archive_give_the_list_that_a_release_written_out_gives() {
    let node = Node::new();
    let mut made = Made::default();
    let index = made.index(1, &["amd64", "arm64"]);
    let referrer = made.signature(Some(&index), "by referrer");
    let signature = made.signature(None, "by tag");
    let tag = format!("{}.sig", digest_of(&index).replace(':', "-"));
    let layout =
        files(&made, &[(&index, tagged("v1")), (&signature, tagged(&tag)), (&referrer, json!({}))]);
    write_dir(&node.path("dir"), &layout);
    write_tar(&node.path("a.tar"), &layout);
    let name = Some("quay.io/team/app");
    let draft = node.one(&format!("oci:{}", node.path("dir").display()), name).await;
    assert_eq!(draft.purl.as_str(), "pkg:docker/team/app@v1?repository_url=quay.io");
    assert_eq!(draft.tags, [("quay.io/team/app:v1".to_owned(), digest_of(&index))].into());
    assert_eq!((draft.from.as_str(), draft.observations.len()), ("oci", 0));
    assert_eq!(draft.artifacts.len(), made.0.len() + 2);
    for (digest, (_, bytes)) in &made.0 {
        assert_eq!(&node.read(&draft, &format!("blobs/{}", digest.replace(':', "/"))), bytes);
    }
    let signed = draft.artifacts.iter().filter(|artifact| artifact.role == Role::Signature).count();
    assert_eq!(signed, 5, "two manifests, two texts, and the empty config they share");
    let archived =
        node.one(&format!("oci-archive:{}:v1", node.path("a.tar").display()), name).await;
    assert_eq!(archived.artifacts, draft.artifacts);
    // Written out and imported again, it is the same release.
    for artifact in &draft.artifacts {
        write_dir(&node.path("out"), &vec![(artifact.path.to_string(), node.bytes(artifact))]);
    }
    let again = node.one(&format!("oci:{}", node.path("out").display()), name).await;
    assert_eq!((again.artifacts, again.tags), (draft.artifacts, draft.tags));
}

#[tokio::test]
async fn each_image_of_a_layout_becomes_a_release_under_its_own_name() {
    let node = Node::new();
    let mut made = Made::default();
    let one = made.image("{}", &[noise(1, 100)]);
    let two = made.image(r#"{"two":2}"#, &[noise(1, 100)]);
    let contained = json!({ "io.containerd.image.name": "docker.io/library/two:9",
        "org.opencontainers.image.ref.name": "9" });
    let layout = files(&made, &[(&one, tagged("quay.io/team/one:1")), (&two, contained)]);
    write_dir(&node.path("dir"), &layout);
    let source = format!("oci:{}", node.path("dir").display());
    let imported = node.add(&source, None).await.unwrap();
    assert_eq!(imported.failed, []);
    let purls: Vec<_> = imported.drafts.iter().map(|draft| draft.purl.to_string()).collect();
    let (first, second) = (
        "pkg:docker/team/one@1?repository_url=quay.io",
        "pkg:docker/library/two@9?repository_url=docker.io",
    );
    assert_eq!(purls, [first, second]);
    assert_eq!(node.one(&format!("{source}:9"), None).await.purl.as_str(), second);
    assert_eq!(node.one(&format!("{source}:two:9"), None).await.purl.as_str(), second);
    let none = node.add(&format!("{source}:10"), None).await.unwrap_err().to_string();
    assert!(none.contains("quay.io/team/one:1"), "{none}");
    let both = node.add(&source, Some("quay.io/x/y:1")).await.unwrap();
    assert_eq!((both.drafts.len(), both.failed.len()), (0, 2), "{:?}", both.failed);
    let renamed = node.one(&format!("{source}:9"), Some("quay.io/x/y:1")).await;
    assert_eq!(renamed.purl.as_str(), "pkg:docker/x/y@1?repository_url=quay.io");
}

#[tokio::test]
async fn a_layout_without_a_name_needs_one() {
    let node = Node::new();
    let mut made = Made::default();
    let image = made.image("{}", &[noise(1, 100)]);
    write_dir(&node.path("dir"), &files(&made, &[(&image, json!({}))]));
    let source = format!("oci:{}", node.path("dir").display());
    let refused = node.add(&source, None).await.unwrap_err();
    assert!(matches!(refused, ImportError::Usage(_)), "{refused:?}");
    assert!(refused.to_string().contains("--ref REGISTRY/REPOSITORY:TAG"), "{refused}");
    write_dir(&node.path("tagged"), &files(&made, &[(&image, tagged("v1"))]));
    let source_tagged = format!("oci:{}:v1", node.path("tagged").display());
    let refused = node.add(&source_tagged, None).await.unwrap_err().to_string();
    assert!(refused.contains("--ref REGISTRY/REPOSITORY:v1"), "{refused}");
    let draft = node.one(&source, Some("quay.io/team/app")).await;
    assert_eq!(draft.purl.version(), Some(digest_of(&image).as_str()));
}

#[tokio::test]
async fn a_partly_saved_image_keeps_its_index_and_names_the_rest() {
    let node = Node::new();
    let mut made = Made::default();
    let index = made.index(1, &["amd64", "arm64"]);
    let text: Value = serde_json::from_slice(&made.0[&digest_of(&index)].1).unwrap();
    let lost = digest_of(&text["manifests"][1]);
    made.0.remove(&lost);
    write_dir(&node.path("dir"), &files(&made, &[(&index, tagged("v1"))]));
    let source = format!("oci:{}", node.path("dir").display());
    let imported = node.add(&source, Some("quay.io/team/app")).await.unwrap();
    assert_eq!(imported.drafts.len(), 1);
    assert_eq!(imported.failed.iter().map(|failed| &failed.what).collect::<Vec<_>>(), [&lost]);
    assert!(!imported.drafts[0].artifacts.is_empty());
}

#[tokio::test]
async fn a_layout_of_very_many_tags_is_read() {
    let node = Node::new();
    let mut made = Made::default();
    let image = made.image("{}", &[noise(1, 100)]);
    let tags: Vec<_> = (0..20_000).map(|n| tagged(&format!("v{n}"))).collect();
    let named: Vec<_> = tags.iter().map(|tag| (&image, tag.clone())).collect();
    let layout = files(&made, &named);
    assert!(layout[1].1.len() > 4 << 20, "{}", layout[1].1.len());
    write_dir(&node.path("many"), &layout);
    let source = format!("oci:{}:v7", node.path("many").display());
    let draft = node.one(&source, Some("example.org/app")).await;
    assert!(draft.tags.contains_key("example.org/app:v7"), "{:?}", draft.tags);
}

#[tokio::test]
async fn an_entry_of_a_layout_that_is_not_whole_costs_itself_only() {
    let node = Node::new();
    let mut made = Made::default();
    let image = made.image("{}", &[noise(1, 100)]);
    for (number, (field, value)) in [
        ("digest", json!("sha256:short")),
        ("digest", json!(7)),
        ("size", json!("many")),
        ("mediaType", json!([])),
        ("platform", json!({ "os": 7, "architecture": "amd64" })),
        ("annotations", json!({ "org.opencontainers.image.ref.name": "bad", "x": 7 })),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = format!("dir{number}");
        let (mut bad, mut annotations) = (image.clone(), tagged("bad"));
        match field {
            "annotations" => annotations = value,
            field => bad[field] = value,
        }
        let layout = files(&made, &[(&bad, annotations), (&image, tagged("v1"))]);
        write_dir(&node.path(&dir), &layout);
        let source = format!("oci:{}", node.path(&dir).display());
        let imported = node.add(&source, Some("a.test/app")).await.unwrap();
        assert_eq!((imported.drafts.len(), imported.failed.len()), (1, 1), "{field}");
        let Failed { what, reason, .. } = &imported.failed[0];
        assert!(what.starts_with(source.trim_start_matches("oci:")), "{what}");
        assert!(reason.starts_with("entry 1 of its index.json"), "{reason}");
        node.one(&format!("{source}:v1"), Some("a.test/app")).await;
    }
}
