//! Canonical texts, what a shorter one means, and any text at all.

use packageurl::PackageUrl;
use proptest::prelude::*;

use super::Purl;

#[test]
fn every_spelling_has_one_canonical_text() {
    let purl = Purl::parse("pkg:generic/kubekey@v3.1.0").unwrap();
    assert_eq!((purl.ty(), purl.name(), purl.version()), ("generic", "kubekey", Some("v3.1.0")));
    assert_eq!(purl, Purl::generic("kubekey", "v3.1.0").unwrap());
    let image =
        Purl::parse("pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io").unwrap();
    assert_eq!(image.namespace(), Some("kubesphere"));
    assert_eq!(
        Purl::parse("pkg:Generic/kubekey@v3.1.0").map(|p| p.to_string()).ok().as_deref(),
        Some("pkg:generic/kubekey@v3.1.0")
    );
    for wrong in ["", "kubekey", "pkg:", "pkg:generic", "pkg:generic/", "http://x/y"] {
        assert!(Purl::parse(wrong).is_err(), "{wrong}");
    }
    assert!(Purl::parse(&format!("pkg:generic/{}", "a".repeat(2000))).is_err());
}

#[test]
fn a_purl_without_qualifiers_means_those_with() {
    let parse = |text| Purl::parse(text).unwrap();
    let chart = parse("pkg:helm/minio@5.4.0?repository_url=http:%2F%2Fcharts.example:8080%2F");
    for given in [
        "pkg:helm/minio@5.4.0",
        "pkg:helm/minio",
        "pkg:helm/minio@5.4.0?repository_url=charts.example:8080",
        "pkg:helm/minio@5.4.0?repository_url=http://charts.example:8080/",
    ] {
        assert!(parse(given).means(&chart), "{given}");
    }
    for given in [
        "pkg:helm/minio@5.4",
        "pkg:docker/minio@5.4.0",
        "pkg:helm/minio@5.4.0?repository_url=other.example",
        "pkg:helm/minio@5.4.0?arch=arm64",
        "pkg:helm/bitnami/minio@5.4.0",
    ] {
        assert!(!parse(given).means(&chart), "{given}");
    }
    let nginx = parse("pkg:docker/library/nginx@1?repository_url=docker.io");
    assert!(parse("pkg:docker/nginx@1").means(&nginx));
    assert!(!nginx.means(&parse("pkg:docker/library/nginx@1")), "stated, and not there");
    assert_eq!(nginx.unqualified(), "pkg:docker/library/nginx@1");
}

#[test]
fn a_version_may_have_slashes() {
    for (version, text) in [
        ("kustomize/v5.0.0", "pkg:generic/kustomize@kustomize%2Fv5.0.0"),
        ("a/b/c", "pkg:generic/kustomize@a%2Fb%2Fc"),
        ("/", "pkg:generic/kustomize@%2F"),
        ("x@y/z", "pkg:generic/kustomize@x%40y%2Fz"),
        ("50%2F", "pkg:generic/kustomize@50%252F"),
        ("a/ü?#", "pkg:generic/kustomize@a%2F%C3%BC%3F%23"),
    ] {
        let purl = Purl::generic("kustomize", version).unwrap();
        assert_eq!((purl.as_str(), purl.version()), (text, Some(version)));
        assert_eq!(Purl::parse(text).unwrap(), purl);
        assert_eq!(Purl::try_from(text.to_owned()).unwrap(), purl);
    }
    let text = "pkg:github/kubernetes-sigs/kustomize@kustomize%2Fv5.0.1?x=a%2Fb#c/d";
    let purl = Purl::parse(text).unwrap();
    assert_eq!(purl.as_str(), text);
    assert_eq!(
        (purl.namespace(), purl.name(), purl.version()),
        (Some("kubernetes-sigs"), "kustomize", Some("kustomize/v5.0.1"))
    );
    assert_eq!(
        Purl::parse("pkg:github/kubernetes-sigs/kustomize@kustomize%2fv5.0.1?x=a/b#c/d"),
        Ok(purl)
    );
    // Texts that were canonical before are so still.
    for text in ["pkg:generic/a%2Fb@1", "pkg:npm/%40a/b@1", "pkg:docker/a/b@sha256:00?x=a%2Fb"] {
        assert_eq!(Purl::parse(text).unwrap().as_str(), text);
    }
}

proptest! {
    #[test]
    fn printed_text_is_read_back(ty in "[a-z][a-z0-9.-]{0,8}",
        ns in proptest::option::of("[ -~]{1,12}"), name in "[ -~]{1,20}",
        version in "[ -~]{1,12}") {
        let Ok(mut raw) = PackageUrl::new(ty, name) else { return Ok(()) };
        if let Some(ns) = ns && raw.with_namespace(ns).is_err() { return Ok(()) }
        if raw.with_version(version).is_err() { return Ok(()) }
        if let Ok(purl) = Purl::parse(&raw.to_string()) {
            prop_assert_eq!(&Purl::parse(purl.as_str()).unwrap(), &purl);
            prop_assert_eq!(Purl::try_from(purl.to_string()).unwrap(), purl);
        }
    }

    #[test]
    fn arbitrary_text_does_not_panic(text in ".{0,200}") {
        let _ = Purl::parse(&text);
    }
}
