//! Charts from a repository, and the images that charts name; the charts are generated.

mod listed;
mod odd;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use perennial_import::{Chart, ChartImported, ImportError, Options, chart, images_of};
use perennial_manifest::{Role, Verdict};
use sha2::{Digest, Sha256};

use crate::web::{Here, Reply, Seen, Web, artifact, hex, private};

/// A chart archive of the given files.
fn tgz(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn plain(name: &str) -> Vec<u8> {
    tgz(&[
        ("a/Chart.yaml", &format!("name: {name}\nappVersion: 1.5\n")),
        ("a/values.yaml", "image: quay.io/x/y:1\n"),
    ])
}

fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

fn index(digest: &str) -> String {
    format!(
        "apiVersion: v1\nentries:\n  a:\n  - \
        {{version: 1.2.0, urls: [a-1.2.0.tgz], digest: {digest}}}\n  \
         - {{version: 1.10.0, urls: [files/a-1.10.0.tgz], digest: {digest}}}\n  \
         - {{version: 2.0.0-rc.1, urls: [a-2.tgz]}}\n"
    )
}

async fn import(
    here: &Here,
    web: &Web,
    version: Option<&str>,
) -> Result<ChartImported, ImportError> {
    let what = Chart {
        repo: format!("helm+{}", web.url("/charts")),
        name: "a".into(),
        version: version.map(Into::into),
        with_images: true,
    };
    chart(&here.store, &private(), &what, &Seen::default()).await
}

#[tokio::test]
async fn a_chart_comes_with_its_index_and_provenance() {
    let archive = plain("a");
    let digest = sha256(&archive);
    let provenance =
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nfiles:\n  a-1.10.0.tgz: sha256:{digest}\n");
    let web = Web::files([
        ("/charts/index.yaml", index(&digest).into()),
        ("/charts/files/a-1.10.0.tgz", archive.clone()),
        ("/charts/files/a-1.10.0.tgz.prov", provenance.clone().into()),
        ("/charts/a-1.2.0.tgz", archive.clone()),
    ])
    .await;
    let here = Here::new();
    let got = import(&here, &web, None).await.unwrap();
    assert!(got.imported.failed.is_empty(), "{:?}", got.imported.failed);
    assert_eq!(got.images, ["quay.io/x/y:1"]);
    let draft = &got.imported.drafts[0];
    assert_eq!(
        (draft.purl.ty(), draft.purl.name(), draft.purl.version()),
        ("helm", "a", Some("1.10.0"))
    );
    assert!(draft.purl.as_str().contains("repository_url=http"), "{}", draft.purl);
    assert_eq!(draft.from, format!("helm+{}", web.url("/charts/")));
    let chart = artifact(draft, "a-1.10.0.tgz");
    assert!(here.holds(chart, &archive));
    assert_eq!(chart.role, Role::Chart);
    assert_eq!(chart.media_type, "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    assert_eq!(chart.origins, [web.url("/charts/files/a-1.10.0.tgz")]);
    assert_eq!(artifact(draft, "index.yaml").role, Role::Index);
    let prov = artifact(draft, "a-1.10.0.tgz.prov");
    assert!(here.holds(prov, provenance.as_bytes()) && prov.role == Role::Signature);
    assert_eq!(draft.artifacts.len(), 3);
    let seen: Vec<_> =
        draft.observations.iter().map(|seen| (seen.url.as_str(), seen.verdict)).collect();
    assert!(seen.contains(&(web.url("/charts/index.yaml").as_str(), Verdict::Same)), "{seen:?}");
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());

    let older = import(&here, &web, Some("1.2.0")).await.unwrap();
    let draft = &older.imported.drafts[0];
    assert_eq!((draft.purl.version(), draft.artifacts.len()), (Some("1.2.0"), 2));
    assert!(matches!(import(&here, &web, Some("3")).await, Err(ImportError::Gone { .. })));
}

#[tokio::test]
async fn the_query_of_a_repository_goes_along_and_is_not_signed() {
    let archive = plain("a");
    let listed = index(&sha256(&archive));
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/charts/index.yaml?sig=secret" => Reply::ok(listed.clone()),
        "/charts/a-1.2.0.tgz?sig=secret" => Reply::ok(archive.clone()),
        _ => Reply::status(403),
    })
    .await;
    let what = Chart {
        repo: format!("helm+{}", web.url("/charts/?sig=secret")),
        name: "a".into(),
        version: Some("1.2.0".into()),
        with_images: false,
    };
    let here = Here::new();
    let got = chart(&here.store, &private(), &what, &Seen::default()).await.unwrap();
    let draft = &got.imported.drafts[0];
    assert_eq!(artifact(draft, "a-1.2.0.tgz").origins, [web.url("/charts/a-1.2.0.tgz")]);
    assert!(!format!("{draft:?}").contains("secret"), "{draft:?}");
    let said = ["a-1.2.0.tgz", "index.yaml"].map(|name| {
        let url = web.url(&format!("/charts/{name}"));
        format!("not signed, as it may be a secret: `sig` in the query, of {url}")
    });
    assert_eq!(got.imported.withheld, said);

    let (here, options) = (Here::new(), Options { keep_query: true, ..private() });
    let got = chart(&here.store, &options, &what, &Seen::default()).await.unwrap();
    let chart = artifact(&got.imported.drafts[0], "a-1.2.0.tgz");
    assert_eq!(chart.origins, [web.url("/charts/a-1.2.0.tgz?sig=secret")]);
    assert!(got.imported.withheld.is_empty());
}

#[tokio::test]
async fn a_chart_from_a_url_is_a_chart() {
    let (archive, other) = (plain("a"), tgz(&[("a/readme.txt", "x")]));
    let web = Web::files([("/a-1.tgz", archive.clone()), ("/b-1.tgz", other)]).await;
    let here = Here::new();
    let urls = ["/a-1.tgz", "/b-1.tgz"].map(|path| web.url(path));
    let got = crate::web::import(&here, urls).await.unwrap();
    let draft = &got.drafts[0];
    assert_eq!(artifact(draft, "a-1.tgz").role, Role::Chart);
    assert_eq!(artifact(draft, "b-1.tgz").role, Role::Binary);
}

#[tokio::test]
async fn a_chart_that_is_not_the_one_listed_or_signed_is_refused() {
    let archive = plain("a");
    let digest = sha256(&archive);
    let listed = Web::files([
        ("/charts/index.yaml", index(&sha256(b"other")).into()),
        ("/charts/a-1.2.0.tgz", archive.clone()),
    ])
    .await;
    let signed = Web::files([
        ("/charts/index.yaml", index(&digest).into()),
        ("/charts/a-1.2.0.tgz", archive.clone()),
        ("/charts/a-1.2.0.tgz.prov", "-----BEGIN PGP SIGNED MESSAGE-----\nfiles: {}\n".into()),
    ])
    .await;
    for web in [listed, signed] {
        let here = Here::new();
        let error = import(&here, &web, Some("1.2.0")).await.unwrap_err();
        assert!(matches!(error, ImportError::Mismatch { .. }), "{error:?}");
        assert!(
            here.store
                .blob_of_sha256(&format!("sha256:{}", sha256(&archive)).parse().unwrap())
                .unwrap()
                .is_none()
        );
    }
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/charts/index.yaml" => Reply::ok("").endless(),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let error = import(&here, &web, None).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    assert!(here.incoming().is_empty());
}

#[tokio::test]
async fn unreadable_images_do_not_fail_the_chart() {
    let archive = tgz(&[("a/Chart.yaml", "name: [")]);
    let web = Web::files([
        ("/charts/index.yaml", index(&sha256(&archive)).into()),
        ("/charts/a-1.2.0.tgz", archive.clone()),
    ])
    .await;
    let got = import(&Here::new(), &web, Some("1.2.0")).await.unwrap();
    assert_eq!((got.imported.drafts.len(), got.imported.failed.len(), got.images.len()), (1, 1, 0));
}

#[test]
fn images_are_found_in_every_form_a_chart_uses() {
    let sub = tgz(&[
        ("packed/Chart.yaml", "name: packed\nappVersion: \"9\"\n"),
        ("packed/values.yaml", "image: {repository: x/packed}\n"),
    ]);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes).unwrap();
    };
    let values = r#"
image: quay.io/x/text:1
legacy: {image: x/legacy, imageTag: "3"}
console:
  image: {registry: quay.io, repository: kubesphere/ks-console, tag: v3.4.1}
api:
  image: {repository: kubesphere/ks-api, tag: ""}
pinned: {repository: x/pinned, digest: "sha256:DIGEST"}
number: {repository: x/number, tag: 1.10}
list:
- deeper:
  - {repository: docker.io/x/listed, tag: "2"}
initImage: x/init:4
source: {repository: "https://charts.example.org"}
template: {image: "{{ .Values.x }}"}
nothing: {repository: x/no-image}
sub: {image: {tag: from-parent}}
other: {image: {tag: by-alias}}
"#;
    let digest = "ab".repeat(32);
    add(
        "a/Chart.yaml",
        b"name: a\nappVersion: v9\ndependencies:\n- {name: sub, alias: other}\n\
            annotations:\n  artifacthub.io/images: |\n    - name: hub\n      image: x/hub:1\n  \
            images: |\n    - x/plain:1\n",
    );
    add("a/values.yaml", values.replace("DIGEST", &digest).as_bytes());
    add(
        "a/templates/deep/pod.yaml",
        b"spec:\n- image: \"busybox:1.36\" # why\n  image: {{ .Values.image }}\n  image: \
            x/{{ .x }}:1\n  image: 'ghcr.io/x/quoted@sha256:0'\n",
    );
    add("a/README.md", b"image: x/readme:1\n");
    add("a/charts/sub/Chart.yaml", b"name: sub\nappVersion: v2\n");
    add(
        "a/charts/sub/values.yaml",
        b"image: {repository: x/sub, tag: own}\nmore: {image: {repository: x/more}}\n",
    );
    add("a/charts/sub/templates/x.yaml", b"image: x/sub-template:1\n");
    add("a/charts/packed-1.tgz", &sub);
    let archive = tar.into_inner().unwrap().finish().unwrap();
    let mut expected = vec![
        "quay.io/x/text:1".to_owned(),
        "x/legacy:3".into(),
        "quay.io/kubesphere/ks-console:v3.4.1".into(),
        "kubesphere/ks-api:v9".into(),
        format!("x/pinned@sha256:{digest}"),
        "x/number:1.1".into(),
        "docker.io/x/listed:2".into(),
        "x/init:4".into(),
        "x/hub:1".into(),
        "x/plain:1".into(),
        "busybox:1.36".into(),
        "x/sub:from-parent".into(),
        "x/sub:by-alias".into(),
        "x/more:v2".into(),
        "x/sub-template:1".into(),
        "x/packed:9".into(),
    ];
    expected.sort();
    assert_eq!(images_of(&archive[..]).unwrap(), expected);
}

#[test]
fn a_registry_and_tag_for_all_reach_charts_within() {
    let archive = tgz(&[
        ("a/Chart.yaml", "name: a\nappVersion: v9\n"),
        (
            "a/values.yaml",
            "global: {imageRegistry: r.test, tag: v4}\nx: {image: {repository: k/x}}\n",
        ),
        (
            "a/charts/b/values.yaml",
            "global: {tag: v1}\nimage: {registry: docker.io, repository: k/b}\n",
        ),
        ("a/charts/c/values.yaml", "image: {repository: quay.io/k/c, tag: own}\n"),
    ]);
    assert_eq!(
        images_of(&archive[..]).unwrap(),
        ["quay.io/k/c:own", "r.test/k/b:v4", "r.test/k/x:v4"]
    );
}

#[test]
fn hostile_archives_end_in_an_error_within_bounds() {
    // Unpacks to far more than its own size.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = tar::Header::new_gnu();
    header.set_path("a/big").unwrap();
    header.set_size(80 << 20);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..80).for_each(|_| bomb.write_all(&zeros).unwrap());
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let said = images_of(&bomb[..]).unwrap_err().to_string();
    assert!(said.contains("unpacks to more"), "{said}");

    // Charts nested beyond the limit.
    let mut nested = plain("a");
    for _ in 0..10 {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(nested.len() as u64);
        tar.append_data(&mut header, "a/charts/a.tgz", &nested[..]).unwrap();
        nested = tar.into_inner().unwrap().finish().unwrap();
    }
    let said = images_of(&nested[..]).unwrap_err().to_string();
    assert!(said.contains("without end"), "{said}");

    let many: Vec<_> = (0..20_001).map(|at| (format!("a/{at}"), "")).collect();
    let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let said = images_of(&tgz(&many)[..]).unwrap_err().to_string();
    assert!(said.contains("too many files"), "{said}");

    let aliases =
        format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 1000].join(","), vec!["*a"; 5000].join(","));
    images_of(&tgz(&[("a/values.yaml", &aliases)])[..]).unwrap_err();
    let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    images_of(&tgz(&[("a/values.yaml", &deep)])[..]).unwrap_err();
    for rubbish in [&b"no gzip"[..], &plain("a")[..40], &[]] {
        images_of(rubbish).unwrap_err();
    }
    // Links, devices and escaping names are ignored, and nothing is written.
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, "a/values.yaml", "/etc/passwd").unwrap();
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    assert!(images_of(&archive[..]).unwrap().is_empty());
}
