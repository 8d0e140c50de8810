//! Names of images: what is read, what is refused, and one package URL for each.

use perennial_manifest::Purl;
use perennial_oci::{Digest, Reference, Repository, Version, is_repository_name, is_tag};
use proptest::prelude::*;

fn image(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn an_image_has_one_name_and_one_purl() {
    let digest = Digest::sha256_of(b"x");
    for (text, purl) in [
        (
            "docker://quay.io/kubesphere/ks-console:v3.4.1",
            "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io",
        ),
        (
            "docker://Quay.IO/kubesphere/ks-console:v3.4.1",
            "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io",
        ),
        ("nginx", "pkg:docker/library/nginx@latest?repository_url=docker.io"),
        (
            "docker://index.docker.io/library/nginx:1",
            "pkg:docker/library/nginx@1?repository_url=docker.io",
        ),
        ("team/app:1", "pkg:docker/team/app@1?repository_url=docker.io"),
        ("docker://127.0.0.1:5000/a:1", "pkg:docker/a@1?repository_url=127.0.0.1:5000"),
        ("localhost/a:1", "pkg:docker/a@1?repository_url=localhost"),
        ("quay.io./a/b:1", "pkg:docker/a/b@1?repository_url=quay.io"),
        ("docker://REG.a.test.:5000/b:1", "pkg:docker/b@1?repository_url=reg.a.test:5000"),
        ("DOCKER.io./nginx:1", "pkg:docker/library/nginx@1?repository_url=docker.io"),
    ] {
        let purl = Purl::parse(purl).unwrap();
        assert_eq!(image(text).purl().unwrap(), purl, "{text}");
        assert_eq!(Reference::of_purl(&purl), Some(image(text)), "{text}");
        assert_eq!(image(&image(text).to_string()), image(text), "{text}");
    }
    let both = image(&format!("docker://quay.io/a/b:1@{digest}"));
    assert_eq!((both.tag(), both.digest()), (None, Some(digest)));
    assert_eq!(both.purl().unwrap().version(), Some(digest.to_string().as_str()));
    assert_eq!(Reference::of_purl(&both.purl().unwrap()), Some(both));
}

#[test]
fn a_registry_may_be_an_ipv6_address() {
    for (text, spelled, is_local) in [
        ("docker://[::1]:5000/a:1", "[::1]:5000/a:1", true),
        ("[2001:DB8:0::7]/team/a:v1", "[2001:db8::7]/team/a:v1", false),
    ] {
        let image = image(text);
        assert_eq!(image.to_string(), spelled);
        assert_eq!(Reference::of_purl(&image.purl().unwrap()), Some(image.clone()), "{text}");
        assert_eq!(image.repository().is_local(), is_local, "{text}");
    }
}

#[test]
fn malformed_references_are_refused_with_a_reason() {
    for wrong in [
        "",
        "docker://",
        "docker://quay.io/A/b:1",
        "docker://UPPER/case",
        "docker://quay.io/a b",
        "docker://quay.io/a:",
        "quay.io/../b:1",
        "quay.io/a@sha256:00",
        "quay.io/a:x:y",
        "https://quay.io/a",
        "quay.io../a:1",
        "a.test:/b:1",
        "a.test:70000/b:1",
        "[::1/b:1",
        "[::g]:5000/b:1",
        "::1/b:1",
    ] {
        let said = wrong.parse::<Reference>().unwrap_err().to_string();
        assert!(said.contains("is not an image"), "{wrong}: {said}");
    }
    for wrong in ["", "a/b", "x@y", "a b", "..", "1:2"] {
        assert!(!matches!(wrong.parse::<Version>(), Ok(Version::Tag(_))), "{wrong}");
    }
    assert!(Reference::has_version("docker://a.b:5000/x:1"));
    assert!(!Reference::has_version("docker://a.b:5000/x"));
}

#[test]
fn the_grammar_follows_the_specification() {
    let huge = "a/".repeat(200) + "a";
    for name in [
        "", "/", "a//b", "../a", "a/..", "a/%2e%2e", "A", "a b", "a/", "-a", "a..b", "a___b",
        "a\0", &huge,
    ] {
        assert!(!is_repository_name(name), "{name}");
    }
    for name in ["a", "a-b", "a--b", "a.b", "a__b", "a_b/c.d/e-f", "0"] {
        assert!(is_repository_name(name), "{name}");
    }
    for tag in ["", ".a", "-a", "a/b", "a b", "é", &"a".repeat(129)] {
        assert!(!is_tag(tag), "{tag}");
    }
    assert!(is_tag("_v1.0-rc.1") && is_tag(&"a".repeat(128)));
}

#[test]
fn package_urls_and_tags_name_repositories_and_back() {
    for (purl, registry, path) in [
        (
            "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io",
            "quay.io",
            "kubesphere/ks-console",
        ),
        ("pkg:docker/x@1?repository_url=https://127.0.0.1:5000/team/", "127.0.0.1:5000", "team/x"),
        ("pkg:docker/alpine@3", "docker.io", "library/alpine"),
    ] {
        let purl = Purl::parse(purl).unwrap();
        let repository = Repository::of_purl(&purl).unwrap();
        assert_eq!((repository.registry(), repository.path()), (registry, path));
        let version = purl.version().unwrap();
        let again = repository.purl(version).unwrap();
        assert_eq!(
            (Repository::of_purl(&again), again.version()),
            (Some(repository), Some(version))
        );
    }
    let (repository, tag) = Repository::with_tag("127.0.0.1:5000/x/y:v1").unwrap();
    assert_eq!((repository.to_string().as_str(), tag), ("127.0.0.1:5000/x/y", "v1"));
    assert_eq!(Repository::with_tag("127.0.0.1:5000/x/y"), None);
}

proptest! {
    #[test]
    fn references_survive_their_package_urls(
        host in "[a-z]{1,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?",
        path in "[a-z0-9]{1,8}([._-][a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,8}){0,2}",
        tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}",
    ) {
        let image: Reference = format!("{host}/{path}:{tag}").parse().unwrap();
        prop_assert_eq!(Reference::of_purl(&image.purl().unwrap()), Some(image));
    }

    #[test]
    fn arbitrary_text_does_not_panic(text in ".{0,100}") {
        let _ = text.parse::<Reference>();
    }
}
