//! Walks from a root to its blobs: roles, platforms, and bounds.

use std::collections::BTreeMap;

use perennial_manifest::Role;
use perennial_oci::{Digest, Manifest, OCI_INDEX, OCI_MANIFEST, Rule, Tree, TreeError};

/// Manifests by digest, as an origin has them.
#[derive(Default)]
struct Origin(BTreeMap<Digest, Vec<u8>>);

impl Origin {
    /// Puts a manifest in and describes it.
    fn put(&mut self, media_type: &str, text: String, more: &str) -> (Digest, String) {
        let (digest, size) = (Digest::sha256_of(text.as_bytes()), text.len());
        self.0.insert(digest, text.into_bytes());
        (
            digest,
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#),
        )
    }

    fn image(&mut self, config: &str, layers: &[String], more: &str) -> (Digest, String) {
        let layers = layers.join(",");
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        self.put(OCI_MANIFEST, text, more)
    }

    fn index(&mut self, children: &[String]) -> (Digest, String) {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","));
        self.put(OCI_INDEX, text, "")
    }

    fn walk(&self, mut tree: Tree) -> Result<Tree, TreeError> {
        while let Some(visit) = tree.next_visit()? {
            let bytes = &self.0[&visit.digest()];
            tree.add(&visit, bytes.len() as u64, &Manifest::parse(bytes).unwrap())?;
        }
        Ok(tree)
    }
}

fn blob(media_type: &str, seed: &str) -> String {
    let (digest, size) = (Digest::sha256_of(seed.as_bytes()), seed.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn platform(arch: &str) -> String {
    format!(r#","platform":{{"os":"linux","architecture":"{arch}"}}"#)
}

fn role(tree: &Tree, seed: &str) -> (Role, Option<String>) {
    let digest = Digest::sha256_of(seed.as_bytes());
    let (_, content) = tree.contents().find(|(found, _)| *found == digest).unwrap();
    (content.role, content.platform.as_ref().map(|platform| platform.arch.clone()))
}

#[test]
fn every_content_has_its_role_and_the_platform_that_it_serves_alone() {
    let mut origin = Origin::default();
    let config = blob("a/config", "config");
    let shared = blob("a/layer", "shared");
    let (amd, amd_entry) =
        origin.image(&config, &[shared.clone(), blob("a/layer", "amd")], &platform("amd64"));
    let (_, arm_entry) = origin.image(&config, &[shared], &platform("arm64"));
    let more = format!(
        r#","platform":{{"os":"unknown","architecture":"unknown"}},
           "annotations":{{"vnd.docker.reference.digest":"{amd}"}}"#
    );
    let layers =
        [blob("application/vnd.in-toto+json", "attested"), blob("application/spdx+json", "sbom")];
    let (attestation, attestation_entry) = origin.image(&blob("a/config", "other"), &layers, &more);
    let (root, _) = origin.index(&[amd_entry, arm_entry, attestation_entry]);
    let tree = origin.walk(Tree::image(root)).unwrap();
    assert_eq!((tree.manifests().len(), tree.blobs().count()), (4, 6));
    let arch = |arch: &str| Some(arch.to_owned());
    assert_eq!(role(&tree, "config"), (Role::ImageConfig, None));
    assert_eq!(role(&tree, "shared"), (Role::ImageLayer, None));
    assert_eq!(role(&tree, "amd"), (Role::ImageLayer, arch("amd64")));
    assert_eq!(role(&tree, "attested"), (Role::Signature, None));
    assert_eq!(role(&tree, "other"), (Role::Signature, None));
    assert_eq!(role(&tree, "sbom"), (Role::Sbom, None));
    let roles: BTreeMap<_, _> =
        tree.contents().map(|(digest, content)| (digest, content.role)).collect();
    assert_eq!((roles[&root], roles[&amd]), (Role::ImageIndex, Role::ImageManifest));
    assert_eq!(roles[&attestation], Role::Signature);
    // Without arm64, but with what is attested of amd64.
    let index = Manifest::parse(&origin.0[&root]).unwrap();
    let chosen = index.select(|child| child.platform().is_some_and(|runs| runs.arch == "amd64"));
    let chosen: Vec<_> = chosen.iter().map(|child| child.digest).collect();
    assert_eq!(chosen, [amd, attestation]);
}

#[test]
fn the_media_type_of_a_layer_decides_its_role() {
    let mut origin = Origin::default();
    let chart = blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart");
    let provenance = blob("application/vnd.cncf.helm.chart.provenance.v1.prov", "provenance");
    let signature = blob("application/vnd.dev.cosign.simplesigning.v1+json", "signature");
    let bill = blob("application/vnd.cyclonedx+json", "bill");
    let foreign = blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "windows");
    let odd = blob("odd", "odd");
    let config = blob("application/vnd.cncf.helm.config.v1+json", "config");
    let layers = [chart, provenance, signature, bill, foreign, odd];
    let (root, _) = origin.image(&config, &layers, "");
    let tree = origin.walk(Tree::image(root)).unwrap();
    for (seed, expected) in [
        ("chart", Role::Chart),
        ("provenance", Role::Signature),
        ("signature", Role::Signature),
        ("bill", Role::Sbom),
        ("odd", Role::ImageLayer),
        ("config", Role::ImageConfig),
    ] {
        assert_eq!(role(&tree, seed), (expected, None), "{seed}");
    }
    let odd = tree.blobs().find(|(digest, _)| *digest == Digest::sha256_of(b"odd")).unwrap();
    assert_eq!(odd.1.media_type, "application/octet-stream");
    assert_eq!(tree.foreign().len(), 1);
    assert_eq!(tree.foreign()[0].digest, Digest::sha256_of(b"windows"));
    let said = origin.walk(Tree::statement(root)).unwrap();
    assert_eq!((role(&said, "odd").0, role(&said, "config").0), (Role::Signature, Role::Signature));
}

#[test]
fn depth_numbers_and_sizes_are_bounded() {
    let mut origin = Origin::default();
    let (mut root, mut entry) = origin.image(&blob("a/b", "x"), &[], "");
    for _ in 0..3 {
        (root, entry) = origin.index(&[entry]);
    }
    assert!(origin.walk(Tree::image(root)).is_ok(), "three indexes around an image");
    let (root, _) = origin.index(&[entry]);
    assert_eq!(origin.walk(Tree::image(root)).unwrap_err().rule, Rule::Depth);

    let layers: Vec<_> = (0..20_001).map(|at| blob("a/b", &at.to_string())).collect();
    let (root, _) = origin.image(&blob("a/b", "x"), &layers[..19_999], "");
    assert!(origin.walk(Tree::image(root)).is_ok());
    let (root, _) = origin.image(&blob("a/b", "x"), &layers, "");
    assert_eq!(origin.walk(Tree::image(root)).unwrap_err().rule, Rule::Blobs);

    let (_, entry) = origin.image(&blob("a/b", "x"), &[], "");
    let (at, _) = entry.split_once(r#""size":"#).unwrap();
    let (root, _) = origin.index(&[format!(r#"{at}"size":1}}"#)]);
    let lied = origin.walk(Tree::image(root)).unwrap_err().rule;
    assert!(matches!(lied, Rule::Size { said: 1, .. }), "{lied}");
    let (root, _) = origin.index(&[format!(r#"{at}"size":4194305}}"#)]);
    assert_eq!(origin.walk(Tree::image(root)).unwrap_err().rule, Rule::Long(4_194_305));

    let two = blob("a/b", "xy").replace(r#""size":2"#, r#""size":3"#);
    let (root, _) = origin.image(&blob("a/b", "x"), &[blob("a/b", "xy"), two], "");
    assert_eq!(origin.walk(Tree::image(root)).unwrap_err().rule, Rule::TwoSizes(2, 3));
}
