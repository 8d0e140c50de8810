//! Images of an archive that are picked by name or place, and archives with names of other forms.

use serde_json::{Value, json};

use crate::layout::{Files, Node, files, tagged, write_dir, write_tar};
use crate::made::{Made, digest_of, noise, sha256};

/// An archive of images with these names and one layer each, as docker wrote it before version 25;
/// also what precedes the paths of files in its list and in the tar.
fn saved(node: &Node, name: &str, images: &[Value], in_list: &str, in_tar: &str) -> String {
    let (mut all, mut list) = (Files::new(), Vec::new());
    for (number, tags) in (1..).zip(images) {
        let layer = noise(number, 300);
        let config = json!({ "n": number, "rootfs": { "diff_ids": [sha256(&layer)] } }).to_string();
        let [config_name, layer_name] =
            [format!("{}.json", &sha256(config.as_bytes())[7..]), format!("{number}/layer.tar")];
        list.push(json!({ "Config": format!("{in_list}{config_name}"), "RepoTags": tags,
            "Layers": [format!("{in_list}{layer_name}")] }));
        all.push((format!("{in_tar}{config_name}"), config.into_bytes()));
        all.push((format!("{in_tar}{layer_name}"), layer));
    }
    all.push((format!("{in_tar}manifest.json"), json!(list).to_string().into_bytes()));
    write_tar(&node.path(name), &all);
    format!("docker-archive:{}", node.path(name).display())
}

#[tokio::test]
async fn an_image_of_several_is_picked_by_name_or_place() {
    let node = Node::new();
    let images = [
        json!(["a.test:5000/one:v1"]),
        Value::Null,
        json!(["<none>:<none>", ""]),
        json!(["two:v2"]),
    ];
    let source = saved(&node, "many.tar", &images, "", "");
    for (picked, name, purl) in [
        (":a.test:5000/one:v1", None, "one@v1"),
        (":two:v2", None, "library/two@v2"),
        (":docker.io/library/two:v2", None, "library/two@v2"),
        (":@0", None, "one@v1"),
        (":@3", None, "library/two@v2"),
        (":@1", Some("a.test/named:x"), "named@x"),
        (":@2", Some("a.test/named:y"), "named@y"),
    ] {
        let draft = node.one(&format!("{source}{picked}"), name).await;
        assert!(draft.purl.as_str().contains(purl), "{picked}: {}", draft.purl);
    }
    for (picked, said) in [(":@4", "it has @0 to @3"), (":@1", "--ref"), (":two:v3", "two:v2")] {
        let refused = node.add(&format!("{source}{picked}"), None).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{picked}: {refused}");
    }
}

#[tokio::test]
async fn an_image_of_a_layout_is_picked_by_its_place() {
    let node = Node::new();
    let mut made = Made::default();
    let (one, two) = (made.image("{}", &[noise(1, 10)]), made.image("{}", &[noise(2, 10)]));
    let mut layout = files(&made, &[(&one, tagged("v1")), (&two, tagged("v2"))]);
    let mut index: Value = serde_json::from_slice(&layout[1].1).unwrap();
    // An entry that does not read keeps its place.
    index["manifests"].as_array_mut().unwrap().insert(0, json!({ "digest": "md5:0" }));
    layout[1].1 = index.to_string().into_bytes();
    // The directory's name has a colon, and what is before it is there as well.
    write_dir(&node.path("lay:out"), &layout);
    std::fs::write(node.path("lay"), "a file").unwrap();
    for (picked, image, tag) in [(":@1", &one, "v1"), (":@2", &two, "v2"), (":v2", &two, "v2")] {
        let source = format!("oci:{}{picked}", node.path("lay:out").display());
        let draft = node.one(&source, Some("a.test/app")).await;
        let expected = [(format!("a.test/app:{tag}"), digest_of(image))].into();
        assert_eq!(draft.tags, expected, "{picked}");
    }
    let refused = node.add(&format!("oci:{}:@0", node.path("lay:out").display()), None).await;
    assert!(refused.unwrap_err().to_string().contains("entry 1"));
}

#[tokio::test]
async fn names_in_an_archive_are_paths_in_any_spelling() {
    let node = Node::new();
    for (in_list, in_tar) in [("./", ""), ("", "./"), ("./", "./"), ("x/../", "")] {
        let images = [json!(["a.test/app:1"])];
        let draft = node.one(&saved(&node, "a.tar", &images, in_list, in_tar), None).await;
        assert_eq!(draft.tags.len(), 1, "{in_list} {in_tar}");
    }
}

#[tokio::test]
async fn an_entry_that_does_not_read_costs_no_other_image() {
    let node = Node::new();
    let source = saved(&node, "a.tar", &[json!("not a list"), json!(["a.test/app:1"])], "", "");
    let imported = node.add(&source, None).await.unwrap();
    assert_eq!((imported.drafts.len(), imported.failed.len()), (1, 1));
    assert!(imported.failed[0].reason.contains("entry 1"), "{:?}", imported.failed);
    node.one(&format!("{source}:@1"), None).await;
    let refused = node.add(&format!("{source}:@0"), None).await.unwrap_err().to_string();
    assert!(refused.contains("entry 1"), "{refused}");
}

#[tokio::test]
async fn an_archive_of_docker_before_1_10_is_refused_with_a_way_out() {
    let node = Node::new();
    let old = vec![
        ("repositories".to_owned(), br#"{"app":{"1":"abc"}}"#.to_vec()),
        ("abc/json".to_owned(), b"{}".to_vec()),
        ("abc/layer.tar".to_owned(), Vec::new()),
    ];
    write_tar(&node.path("old.tar"), &old);
    let source = format!("docker-archive:{}", node.path("old.tar").display());
    let refused = node.add(&source, None).await.unwrap_err().to_string();
    assert!(refused.contains("load and save it once"), "{refused}");
}
