//! Lists: tags, repositories, referrers.

use std::collections::BTreeMap;

use perennial_manifest::Role;
use serde_json::json;

use super::{
    CONSOLE, Image, OCI_INDEX, OCI_MANIFEST, TestRegistry, artifact, bytes, draft, followed, key,
    release, sha256,
};

#[tokio::test]
async fn lists_come_in_pages() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let image = Image::new(bytes(10, 1));
    for tag in ["v1", "v2", "v3", "v4", "v5"] {
        image.release(&registry.store, &publisher, CONSOLE, tag);
    }
    let path = format!("/v2/{CONSOLE}/tags/list");
    let page = registry.get(&format!("{path}?n=2")).await;
    assert_eq!(page.json()["tags"], json!(["v1", "v2"]));
    assert_eq!(page.header("link"), format!("<{path}?last=v2&n=2>; rel=\"next\""));
    let page = registry.get(&format!("{path}?n=2&last=v4")).await;
    assert_eq!((page.json()["tags"].clone(), page.header("link")), (json!(["v5"]), ""));
    let page = registry.get(&format!("{path}?n=5")).await;
    assert_eq!((page.json()["tags"].as_array().unwrap().len(), page.header("link")), (5, ""));
    let page = registry.get(&format!("{path}?n=0")).await;
    assert_eq!((page.json()["tags"].clone(), page.header("link")), (json!([]), ""));
    assert_eq!(registry.get(&format!("{path}?last=zzz")).await.json()["tags"], json!([]));
    assert_eq!(registry.get(&format!("{path}?n=99999999999999999999999")).await.status, 200);
    for wrong in ["-1", "x", "", "1.5"] {
        let whole = registry.get(&format!("{path}?n={wrong}")).await;
        assert_eq!(whole.json()["tags"].as_array().unwrap().len(), 5, "{wrong}");
    }
    image.release(&registry.store, &publisher, "ghcr.io/a/b", "v1");
    let page = registry.get("/v2/_catalog?n=1").await;
    assert_eq!(page.header("link"), "</v2/_catalog?last=ghcr.io%2Fa%2Fb&n=1>; rel=\"next\"");
    assert_eq!(
        registry.get("/v2/_catalog?n=1&last=ghcr.io/a/b").await.json(),
        json!({"repositories": [CONSOLE]})
    );
}

#[tokio::test]
async fn referrers_are_listed_by_subject_and_filtered_by_type() {
    let registry = TestRegistry::new();
    let publisher = followed(&registry, 2);
    let image = Image::new(bytes(10, 1));
    image.release(&registry.store, &publisher, CONSOLE, "v1");
    let about = |kind: &str| {
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"),
                "size": 2},
            "layers": [], "annotations": {"k": "v"},
            "subject": {"mediaType": OCI_MANIFEST, "digest": image.digest(),
                "size": image.manifest.len()},
        })
        .to_string()
    };
    let (sbom, signature, strange) = (about("x/sbom"), about("x/signature"), about("x/strange"));
    for (key, manifest) in [(&publisher, &sbom), (&publisher, &signature), (&key(9), &strange)] {
        let listed =
            artifact(&registry.store, manifest.as_bytes(), OCI_MANIFEST, Role::ImageManifest);
        let version = sha256(manifest.as_bytes());
        let signed =
            release(&registry.store, key, draft(CONSOLE, &version, vec![listed], BTreeMap::new()));
        registry.store.put_entries(&[signed]).unwrap();
    }
    let path = format!("/v2/{CONSOLE}/referrers/{}", image.digest());
    let all = registry.get(&path).await;
    assert_eq!((all.header("content-type"), all.header("oci-filters-applied")), (OCI_INDEX, ""));
    let mut kinds: Vec<_> = all.json()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["artifactType"].clone())
        .collect();
    kinds.sort_by_key(ToString::to_string);
    assert_eq!(kinds, [json!("x/sbom"), json!("x/signature")]);
    let one = registry.get(&format!("{path}?artifactType=x%2Fsbom")).await;
    assert_eq!(one.header("oci-filters-applied"), "artifactType");
    let expected = json!([{
        "mediaType": OCI_MANIFEST, "digest": sha256(sbom.as_bytes()), "size": sbom.len(),
        "artifactType": "x/sbom", "annotations": {"k": "v"},
    }]);
    assert_eq!(one.json()["manifests"], expected);
    let none = registry.get(&format!("/v2/{CONSOLE}/referrers/{}", sha256(b"x"))).await;
    assert_eq!((none.status.as_u16(), none.json()["manifests"].clone()), (200, json!([])));
    registry.get(&format!("/v2/{CONSOLE}/referrers/x")).await.refused(400, "DIGEST_INVALID");
}
