//! The Helm repository: what it lists, what it leaves out, and how hostile charts are handled.

use std::collections::BTreeMap;
use std::io::Write;

use axum::http::StatusCode;
use perennial_manifest::{Keypair, Role};
use serde::Deserialize;

use crate::fixtures::{bytes, key};
use crate::test_gateway::{File, Location, TestGateway, file, sha256};

/// The index as Helm reads it: an unknown field is an error.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Index {
    api_version: String,
    #[allow(dead_code, reason = "it must be there")]
    generated: String,
    entries: BTreeMap<String, Vec<Entry>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "they may be there")]
struct Entry {
    name: String,
    version: String,
    api_version: String,
    app_version: Option<String>,
    description: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    kube_version: Option<String>,
    home: Option<String>,
    keywords: Option<Vec<String>>,
    maintainers: Option<Vec<BTreeMap<String, String>>>,
    annotations: Option<BTreeMap<String, String>>,
    dependencies: Option<Vec<BTreeMap<String, serde_json::Value>>>,
    urls: Vec<String>,
    created: String,
    digest: String,
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).expect("packed");
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar.into_inner().expect("packed")).expect("packed");
    gzip.finish().expect("packed")
}

fn chart(yaml: &str) -> Vec<u8> {
    archive(&[
        ("x/values.yaml", b"a: 1"),
        ("x/charts/inner/Chart.yaml", b"name: inner\nversion: 9.9.9\n"),
        ("x/Chart.yaml", yaml.as_bytes()),
        ("x/templates/a.yaml", b"{{ }}"),
    ])
}

fn packed(path: &'static str, bytes: Vec<u8>) -> File {
    File { role: Role::Chart, media_type: "application/gzip", ..file(path, bytes) }
}

async fn index(gateway: &TestGateway, publisher: &str) -> Index {
    let answer = gateway.get(&format!("/helm/{publisher}/index.yaml")).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::OK, "application/yaml")
    );
    serde_saphyr::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

const KS: &str = "apiVersion: v2\nname: ks-core\nversion: 1.1.3\nappVersion: 4.1\n\
    description: |\n  The core: \"quoted\"\n  第二行\ntype: application\nkubeVersion: \">=1.19.0-0\"\n\
    keywords: [a, b]\nmaintainers:\n- name: savers\n  email: a@b.example\n\
    annotations:\n  category: x\ndependencies:\n\
    - name: redis\n  version: 1.x\n  repository: https://charts.example\n  condition: \
    redis.enabled\n  import-values: [data]\nx-unknown: 1\n";

fn release(gateway: &TestGateway, key: &Keypair, purl: &str, yaml: &str) -> Vec<u8> {
    let bytes = chart(yaml);
    let provenance =
        File { role: Role::Signature, ..file("ks-core-1.1.3.tgz.prov", "-----BEGIN PGP") };
    gateway.release(key, purl, &[packed("ks-core-1.1.3.tgz", bytes.clone()), provenance]);
    bytes
}

#[tokio::test]
async fn a_denied_chart_is_in_no_index_and_answers_451() {
    let gateway = TestGateway::new();
    let bytes = release(&gateway, &key(1), "pkg:helm/ks-core@1.1.3", KS);
    let other = packed("other-1.0.0.tgz", chart("name: other\nversion: 1.0.0\n"));
    gateway.release(&key(1), "pkg:generic/other@1", &[other]);
    let targets = ["pkg:helm/ks-core".to_owned(), sha256(&bytes).to_string()];
    for target in targets.iter().chain(["pkg:generic/other".to_owned()].iter()) {
        let target = target.parse().expect("a target");
        gateway.store().deny(target, "malware in it".into()).expect("remembered");
        let left: usize = index(&gateway, "all").await.entries.len();
        for file in ["ks-core-1.1.3.tgz", "other-1.0.0.tgz"] {
            let answer = gateway.get(&format!("/helm/all/charts/{file}")).await;
            let is_denied = file.starts_with("ks-core") || left == 0;
            assert_eq!(answer.status.as_u16(), if is_denied { 451 } else { 200 }, "{file}");
            assert!(!is_denied || answer.text().contains("malware in it"), "{}", answer.text());
        }
    }
    assert!(index(&gateway, "all").await.entries.is_empty());
    for target in targets {
        gateway.store().undeny(&target.parse().expect("a target")).expect("remembered");
    }
    let answer = gateway.get("/helm/all/charts/ks-core-1.1.3.tgz").await;
    assert!(answer.status == StatusCode::OK && answer.body == bytes);
}

#[tokio::test]
async fn charts_are_listed_as_helm_reads_them_and_pulled_by_their_urls() {
    let gateway = TestGateway::new();
    let bytes = release(&gateway, &key(1), "pkg:helm/ks-core@1.1.3", KS);
    gateway.release(
        &key(1),
        "pkg:generic/other@1",
        &[
            packed("other.tgz", chart("name: other\nversion: 1.0.0\n")),
            file("readme.md", "a file beside it"),
        ],
    );
    gateway.release(&key(1), "pkg:generic/none@1", &[file("readme.md", "no chart")]);
    let own = key(1).id().to_string();
    for publisher in ["all", &own] {
        let index = index(&gateway, publisher).await;
        assert_eq!(index.api_version, "v1");
        // A chart is one under whatever name it was released.
        assert_eq!(index.entries.keys().collect::<Vec<_>>(), ["ks-core", "other"]);
        let [entry] = &index.entries["ks-core"][..] else { panic!("{index:?}") };
        assert_eq!(
            (&*entry.name, &*entry.version, &*entry.api_version),
            ("ks-core", "1.1.3", "v2")
        );
        assert_eq!(entry.app_version.as_deref(), Some("4.1"), "a number is a text there");
        assert_eq!(entry.description.as_deref(), Some("The core: \"quoted\"\n第二行\n"));
        assert_eq!(entry.dependencies.as_ref().expect("one").len(), 1);
        assert_eq!(entry.digest, sha256(&bytes).to_hex());
        assert_eq!(entry.created, "2025-06-15T15:06:40Z");
        // Relative to the index.
        assert_eq!(entry.urls, ["charts/ks-core-1.1.3.tgz"]);
        let path = format!("/helm/{publisher}/{}", entry.urls[0]);
        let pulled = gateway.get(&path).await;
        assert!(pulled.status == StatusCode::OK && pulled.body == bytes);
        assert_eq!(
            pulled.header("content-disposition"),
            "attachment; filename=\"ks-core-1.1.3.tgz\""
        );
        let provenance = gateway.get(&format!("{path}.prov")).await;
        assert_eq!((provenance.status, provenance.text()), (StatusCode::OK, "-----BEGIN PGP"));
    }
    let answer = gateway.get("/helm/all/index.yaml").await;
    let same = gateway
        .ask("GET", "/helm/all/index.yaml", &[("if-none-match", answer.header("etag"))])
        .await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    for (path, status) in [
        ("/helm/all/charts/other-1.0.0.tgz", 200),
        ("/helm/all/charts/ks-core-1.1.4.tgz", 404),
        ("/helm/all/charts/..%2findex.yaml", 404),
        ("/helm/all/charts/%2e%2e", 404),
        ("/helm/me/index.yaml", 400),
        ("/helm/me/charts/ks-core-1.1.3.tgz", 400),
    ] {
        assert_eq!(gateway.get(path).await.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn the_repository_all_has_trusted_charts_without_conflict() {
    let gateway = TestGateway::new();
    let other = format!("{KS}home: https://other.example\n");
    let (one, two) = (key(2), key(3));
    let first = release(&gateway, &one, "pkg:helm/ks-core@1.1.3", KS);
    assert!(index(&gateway, "all").await.entries.is_empty(), "no publisher is followed");
    assert_eq!(
        index(&gateway, &one.id().to_string()).await.entries.len(),
        1,
        "and still asked by name"
    );
    gateway.follow(&one);
    assert_eq!(index(&gateway, "all").await.entries.len(), 1);
    // Other bytes under the same name, and under a namespace, which Helm does not distinguish.
    for (purl, trusted) in
        [("pkg:helm/x/ks-core@1.1.3", key(3)), ("pkg:helm/ks-core@1.1.3", key(4))]
    {
        let gateway = TestGateway::new();
        release(&gateway, &one, "pkg:helm/ks-core@1.1.3", KS);
        gateway.follow(&one);
        release(&gateway, &trusted, purl, &other);
        assert_eq!(index(&gateway, "all").await.entries.len(), 1);
        gateway.follow(&trusted);
        let both = index(&gateway, "all").await;
        assert!(both.entries.is_empty(), "{both:?}");
        let left_out = &both.annotations["perennial/left-out"];
        assert!(
            [&one, &trusted].iter().all(|key| left_out.contains(&key.id().to_string())),
            "{left_out}"
        );
        assert_eq!(
            gateway.get("/helm/all/charts/ks-core-1.1.3.tgz").await.status,
            StatusCode::NOT_FOUND
        );
        let digest = &index(&gateway, &one.id().to_string()).await.entries["ks-core"][0].digest;
        assert_eq!(*digest, sha256(&first).to_hex());
    }
    // An additional file in the release does not make the chart differ.
    let extra = [packed("ks-core-1.1.3.tgz", first.clone()), file("README", "x")];
    gateway.release(&two, "pkg:helm/ks-core@1.1.3", &extra);
    gateway.follow(&two);
    assert_eq!(index(&gateway, "all").await.entries["ks-core"][0].digest, sha256(&first).to_hex());
    // A chart that is not held also disagrees.
    let far = packed("ks-core-1.1.3.tgz", chart(&other)).located(Location::Nowhere);
    gateway.release(&two, "pkg:helm/ks-core@1.1.3", &[far]);
    assert!(index(&gateway, "all").await.entries.is_empty());
}

#[tokio::test]
async fn files_that_are_not_charts_or_not_held_are_left_out() {
    let gateway = TestGateway::new();
    release(&gateway, &key(1), "pkg:helm/ks-core@1.1.3", KS);
    let yaml = |name: &str| format!("name: {name}\nversion: 1.0.0\n");
    let far = packed("far.tgz", chart(&yaml("far"))).located(Location::InTheSwarm);
    let lies = File { sha256: Some(sha256(b"other")), ..packed("lies.tgz", chart(&yaml("lies"))) };
    let bomb = vec![0; 101 << 20];
    let mut cut = chart(&yaml("cut"));
    cut.truncate(40);
    let nested = format!("name: nested\nversion: 1.0.0\ndescription: {}", "[".repeat(30_000));
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in ('a'..'i').zip('b'..'j') {
        laughs += &format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 9].join(", "));
    }
    let laughs = format!("name: laughs\nversion: 1.0.0\n{laughs}");
    for (at, hostile) in [
        far,
        lies,
        packed("random.tgz", bytes(10_000, 1)),
        packed("cut.tgz", cut),
        packed("empty.tgz", archive(&[("x/values.yaml", b"a: 1")])),
        packed("root.tgz", archive(&[("Chart.yaml", yaml("root").as_bytes())])),
        packed(
            "bomb.tgz",
            archive(&[("x/zeros", &bomb), ("x/Chart.yaml", yaml("bomb").as_bytes())]),
        ),
        packed(
            "large.tgz",
            chart(&format!("{}description: {}\n", yaml("large"), "a".repeat(1_100_000))),
        ),
        packed("nested.tgz", chart(&nested)),
        packed("laughs.tgz", chart(&laughs)),
        packed("path.tgz", chart(&yaml("../../etc"))),
        packed("nameless.tgz", chart("version: 1.0.0\n")),
        packed("list.tgz", chart("- a\n")),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.release(&key(1), &format!("pkg:helm/hostile-{at}@1"), &[hostile]);
    }
    // Characters that YAML forbids, and texts with a meaning in YAML.
    let odd = "name: odd\nversion: 1.0.0\n\
        description: \"a\\u0000\\u007f\\uFEFF\\u0085: b\\n- c: &d *e !!f\"\nhome: yes\n";
    gateway.release(&key(1), "pkg:helm/odd@1", &[packed("odd.tgz", chart(odd))]);
    let answer = gateway.get("/helm/all/index.yaml").await;
    assert!(!answer.text().contains(['\u{7f}', '\u{85}', '\u{feff}']));
    let index = index(&gateway, "all").await;
    let listed: Vec<&String> = index.entries.keys().collect();
    let listed: Vec<&&String> =
        listed.iter().filter(|name| !["laughs"].contains(&name.as_str())).collect();
    assert_eq!(listed, [&"ks-core", &"odd"]);
    // Each of the others that is held is named with its reason.
    let left_out = &index.annotations["perennial/left-out"];
    let files = ["lies", "random", "cut", "empty", "root", "bomb", "large", "nested", "path"];
    for file in files.into_iter().chain(["nameless", "list"]) {
        assert!(left_out.contains(&format!(": {file}.tgz ")), "{file}: {left_out}");
    }
    assert_eq!(index.entries["odd"][0].description.as_deref(), Some("a: b\n- c: &d *e !!f"));
    assert_eq!(index.entries["odd"][0].home.as_deref(), Some("yes"));
    assert!(
        gateway.node.fetched.lock().expect("not poisoned").is_empty(),
        "an index brings nothing here"
    );
}

#[tokio::test]
async fn an_index_that_trusts_no_publisher_says_so() {
    let gateway = TestGateway::new();
    let chart = file("app-1.0.0.tgz", bytes(100, 1));
    gateway.release(&key(2), "pkg:helm/app@1.0.0", &[File { role: Role::Chart, ..chart }]);
    assert!(index(&gateway, "all").await.annotations.is_empty(), "it follows nobody");
    let mut follows = gateway.store().follows();
    follows.all = true;
    gateway.store().set_follows(&follows).expect("remembered");
    let empty = index(&gateway, "all").await;
    assert!(empty.entries.is_empty());
    assert!(empty.annotations["perennial/note"].contains("perennial follow DID"));
    let catalog = gateway.get("/v2/_catalog").await.json();
    assert!(catalog["note"].as_str().is_some_and(|note| note.contains("trusts none")), "{catalog}");
    gateway.follow(&key(2));
    assert!(!index(&gateway, "all").await.annotations.contains_key("perennial/note"));
    assert!(gateway.get("/v2/_catalog").await.json()["note"].is_null());
}
