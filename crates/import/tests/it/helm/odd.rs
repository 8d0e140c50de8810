//! Charts as other programs wrote them, and indexes that name several places of one.

use perennial_import::{ImportError, images_of, is_chart};

use super::{import, plain, sha256, tgz};
use crate::web::{Here, Reply, Web};

/// An index that lists one version of chart `a` at these URLs.
fn index(digest: &str, urls: &[&str]) -> String {
    let urls = urls.join(", ");
    format!("entries:\n  a:\n  - {{version: 1.0.0, digest: {digest}, urls: [{urls}]}}\n")
}

#[tokio::test]
async fn a_chart_comes_from_the_first_place_that_has_it() {
    let (good, other) = (plain("a"), plain("b"));
    for urls in [
        &["gone.tgz", "good.tgz"][..],
        &["null", "''", "gone.tgz", "good.tgz?x=1"],
        &["'http://127.0.0.1:1/a.tgz'", "good.tgz"],
        &["'oci://127.0.0.1:1/a'", "good.tgz"],
        &["busy.tgz", "other.tgz", "good.tgz"],
    ] {
        let (text, good, other) = (index(&sha256(&good), urls), good.clone(), other.clone());
        let sent = good.clone();
        let web = Web::start(move |asked| match asked.path.as_str() {
            "/charts/index.yaml" => Reply::ok(text.clone()),
            "/charts/good.tgz" | "/charts/good.tgz?x=1" => Reply::ok(sent.clone()),
            "/charts/other.tgz" => Reply::ok(other.clone()),
            "/charts/busy.tgz" => Reply::status(503).header("retry-after", "0"),
            _ => Reply::status(404),
        })
        .await;
        let here = Here::new();
        let got = import(&here, &web, None).await.unwrap();
        let file = crate::web::artifact(&got.imported.drafts[0], "a-1.0.0.tgz");
        assert!(here.holds(file, &good), "{urls:?}");
        assert!(here.incoming().is_empty(), "{:?}", here.incoming());
    }
}

#[tokio::test]
async fn a_chart_that_no_place_has_is_refused_for_the_weightiest_reason() {
    let other = plain("b");
    let sum = sha256(&plain("a"));
    let web = Web::files([
        ("/charts/index.yaml", index(&sum, &["gone.tgz", "other.tgz", "gone2.tgz"]).into()),
        ("/charts/other.tgz", other),
    ])
    .await;
    let error = import(&Here::new(), &web, None).await.unwrap_err();
    assert!(matches!(error, ImportError::Mismatch { .. }), "{error}");
}

#[test]
fn paths_of_an_archive_are_read_as_they_are_written() {
    let (about, values) = ("name: a\nversion: 1.0.0\n", "image: quay.io/x/y:1\n");
    for [chart, file] in [
        ["a/Chart.yaml", "a/values.yaml"],
        ["./a/Chart.yaml", "./a/values.yaml"],
        ["a\\Chart.yaml", "a\\values.yaml"],
        [".\\a\\Chart.yaml", ".\\a\\values.yaml"],
    ] {
        let archive = tgz(&[(chart, about), (file, values)]);
        assert!(is_chart(&archive[..], 1 << 20), "{chart}");
        assert_eq!(images_of(&archive[..]).unwrap(), ["quay.io/x/y:1"], "{chart}");
    }
    let inner = tgz(&[("a\\charts\\b\\Chart.yaml", about)]);
    assert!(!is_chart(&inner[..], 1 << 20));
}
