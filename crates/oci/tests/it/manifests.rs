//! Manifests that are read, and those that are refused on every way into an archive.

use perennial_oci::{Digest, Manifest, ManifestError, OCI_INDEX, OCI_MANIFEST};
use proptest::prelude::*;

const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

fn descriptor() -> String {
    let digest = Digest::sha256_of(b"abc");
    format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":3}}"#)
}

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text.as_bytes())
}

#[test]
fn docker_and_oci_manifests_have_one_reader() {
    let one = descriptor();
    let index = parse(&format!(r#"{{"schemaVersion":2,"manifests":[{one}]}}"#)).unwrap();
    assert!(index.is_index() && index.media_type() == OCI_INDEX && index.children().len() == 1);
    let image =
        parse(&format!(r#"{{"schemaVersion":2,"config":{one},"layers":[{one}]}}"#)).unwrap();
    assert!(!image.is_index() && image.media_type() == OCI_MANIFEST && image.layers.len() == 1);
    assert_eq!(image.artifact_type(), Some("a/b"), "that of the config");
    let artifact = format!(
        r#"{{"mediaType":"{ARTIFACT}","artifactType":"x/y","blobs":[{one}],"subject":{one}}}"#
    );
    let artifact = parse(&artifact).unwrap();
    assert_eq!(artifact.media_type(), ARTIFACT);
    assert_eq!((artifact.layers.len(), artifact.artifact_type()), (1, Some("x/y")));
    assert_eq!(artifact.subject, Some(Digest::sha256_of(b"abc")));
    let nulls = format!(r#"{{"schemaVersion":2,"config":{one},"layers":null,"annotations":null}}"#);
    assert!(parse(&nulls).unwrap().layers.is_empty());
    let odd = format!(r#"{{"schemaVersion":2,"mediaType":"odd","config":{one}}}"#);
    let odd = parse(&odd).unwrap();
    assert_eq!((odd.media_type(), odd.declared_media_type()), (OCI_MANIFEST, Some("odd")));
}

/// Readers written in Go take it, and so do registries.
#[test]
fn a_layer_without_a_media_type_is_read() {
    let digest = Digest::sha256_of(b"abc");
    let text = format!(r#"{{"schemaVersion":2,"layers":[{{"digest":"{digest}","size":3}}]}}"#);
    assert_eq!(parse(&text).unwrap().layers[0].digest, digest);
}

/// Refused on import and on push: each of two readers would see another image (CVE-2021-41190).
#[test]
fn an_index_and_a_manifest_at_once_is_refused() {
    let one = descriptor();
    for fields in [
        format!(r#""config":{one}"#),
        format!(r#""layers":[{one}]"#),
        r#""layers":[]"#.to_owned(),
        format!(r#""blobs":[{one}]"#),
    ] {
        for declared in ["", r#""mediaType":"application/vnd.oci.image.index.v1+json","#] {
            let both = format!(r#"{{"schemaVersion":2,{declared}"manifests":[{one}],{fields}}}"#);
            assert!(matches!(parse(&both), Err(ManifestError::Ambiguous)), "{both}");
        }
    }
}

/// As in Go, whose readers and registries take both.
#[test]
fn the_last_of_two_fields_counts_and_an_index_may_name_nothing() {
    let (one, other) = (descriptor(), descriptor().replace("a/b", "c/d"));
    let twice =
        format!(r#"{{"schemaVersion":1,"config":{one},"config":{other},"schemaVersion":2}}"#);
    assert_eq!(parse(&twice).unwrap().config.unwrap().media_type, "c/d");
    let inner = one.replace(r#""size":3"#, r#""size":7,"size":3"#);
    let inner =
        format!(r#"{{"schemaVersion":2,"manifests":[{inner}],"manifests":[{inner},{inner}]}}"#);
    assert_eq!(parse(&inner).unwrap().children().len(), 2);
    for empty in [
        r#"{"schemaVersion":2,"manifests":null}"#.to_owned(),
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}"}}"#),
        r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
    ] {
        let empty = parse(&empty).unwrap();
        assert!(empty.is_index() && empty.children().is_empty(), "{empty:?}");
    }
    let image =
        parse(&format!(r#"{{"schemaVersion":2,"manifests":null,"config":{one}}}"#)).unwrap();
    assert!(!image.is_index());
}

#[test]
fn an_entry_of_an_index_that_does_not_read_costs_itself_only() {
    let one = descriptor();
    let named = r#"{"mediaType":7,"annotations":{"org.opencontainers.image.ref.name":"v2"}}"#;
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{one},7,null,{named},{{"digest":["x"]}},{one}]}}"#
    );
    let (index, odd) = Manifest::parse_entries(text.as_bytes()).unwrap();
    assert_eq!(index.children().len(), 2);
    let odd: Vec<_> = odd.iter().map(|odd| (odd.number, odd.called.as_deref())).collect();
    assert_eq!(odd, [(2, None), (3, None), (4, Some("v2")), (5, None)]);
    assert!(parse(&text).is_err());
}

#[test]
fn a_manifest_that_can_only_be_one_thing_may_have_any_version_or_none() {
    let one = descriptor();
    for fields in [
        format!(r#""mediaType":"{OCI_MANIFEST}","config":{one}"#),
        format!(r#""config":{one},"layers":[{one}]"#),
        format!(r#""schemaVersion":null,"config":{one},"layers":[]"#),
        format!(r#""schemaVersion":0,"config":{one},"layers":[{one}]"#),
        format!(r#""schemaVersion":1,"config":{one},"layers":[{one}]"#),
        format!(r#""schemaVersion":3,"mediaType":"{OCI_MANIFEST}","config":{one}"#),
        format!(r#""schemaVersion":3,"manifests":[{one}]"#),
        format!(r#""manifests":[{one}]"#),
    ] {
        parse(&format!("{{{fields}}}")).unwrap();
    }
}

#[test]
fn an_incomplete_manifest_is_refused_with_a_reason() {
    let (one, digest) = (descriptor(), Digest::sha256_of(b"abc"));
    for (text, reason) in [
        (String::new(), "is not an image manifest"),
        ("[]".into(), "is not an image manifest"),
        ("\"x\"".into(), "is not an image manifest"),
        ("<html>".into(), "is not an image manifest"),
        (r#"{"mediaType":1}"#.into(), "is not an image manifest"),
        ("{}".into(), "neither"),
        (r#"{"schemaVersion":2}"#.into(), "neither"),
        (format!(r#"{{"config":{one}}}"#), "schemaVersion 2"),
        (format!(r#"{{"schemaVersion":3,"config":{one}}}"#), "has schemaVersion 3;"),
        (r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}]}"#.into(), "schema 1"),
        (format!(r#"{{"schemaVersion":1,"config":{one}}}"#), "has schemaVersion 1;"),
        (format!(r#"{{"schemaVersion":"2","config":{one}}}"#), r#"has schemaVersion "2";"#),
        (format!(r#"{{"schemaVersion":2.0,"manifests":[{one}]}}"#), "has schemaVersion 2.0;"),
        (format!(r#"{{"schemaVersion":[2],"layers":[{one}]}}"#), "has schemaVersion [2];"),
        (
            r#"{"schemaVersion":2,"layers":[{"mediaType":"a/b","digest":"md5:0","size":3}]}"#
                .into(),
            "not known",
        ),
        (
            r#"{"schemaVersion":2,"layers":[{"mediaType":"a/b","digest":"sha256:../../x","size":3}]}"#
                .into(),
            "is not a digest",
        ),
        (
            format!(r#"{{"schemaVersion":2,"layers":[{{"mediaType":"a/b","digest":"{digest}","size":-1}}]}}"#),
            "is not an image manifest",
        ),
        (
            format!(r#"{{"schemaVersion":2,"layers":[{{"mediaType":"a/b","digest":"{digest}"}}]}}"#),
            "without size",
        ),
    ] {
        let said = parse(&text).unwrap_err().to_string();
        assert!(said.contains(reason), "{text}: {said}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Manifest::parse(&bytes);
    }
}
