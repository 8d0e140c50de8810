//! Manifests and indexes of any type, read leniently: what they refer to, and nothing else.
//!
//! Takes OCI, Docker schema 2 and artifact manifests by one door. A manifest that could be read in two ways is refused.

use oci_spec::image::{Descriptor, Digest};
use serde::Deserialize;

use crate::ImportError;

/// The longest manifest taken, as registries do.
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// What cosign appends to `sha256-<hex>` where a registry has no referrers.
const COSIGN: [&str; 3] = [".sig", ".att", ".sbom"];

/// What a manifest or an index refers to.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) is_index: bool,
    /// Of an index.
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) config: Option<Descriptor>,
    /// Layers, or the blobs of an artifact manifest.
    pub(crate) layers: Vec<Descriptor>,
    /// What it is a statement about.
    pub(crate) subject: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    subject: Option<Subject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    schema_version: u64,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

impl Manifest {
    /// What goes into an `Accept` header.
    pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
        application/vnd.oci.image.manifest.v1+json, \
        application/vnd.docker.distribution.manifest.list.v2+json, \
        application/vnd.docker.distribution.manifest.v2+json, \
        application/vnd.oci.artifact.manifest.v1+json, */*";

    pub(crate) fn parse(what: &str, bytes: &[u8]) -> Result<Self, ImportError> {
        let refuse = |reason: String| ImportError::Upstream { what: what.to_owned(), reason };
        // schema 1 has other fields altogether: look before reading on
        let version = serde_json::from_slice::<Version>(bytes).ok();
        if version.is_some_and(|version| version.schema_version == 1) {
            return Err(refuse(
                "is a manifest of schema 1, which names its layers by no digest that could be checked after a conversion; \
                 pull and push it once with a current docker or skopeo, and add what comes of that"
                    .into(),
            ));
        }
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|e| refuse(format!("is no image manifest: {e}")))?;
        let is_index = raw.manifests.is_some();
        let holds = raw.config.is_some() || raw.layers.is_some() || raw.blobs.is_some();
        if is_index == holds {
            return Err(refuse(if holds {
                "is an index and a manifest at once, which some would read as the one and some as the other"
                    .into()
            } else {
                "is neither an image manifest nor an index".into()
            }));
        }
        if !is_index && raw.schema_version.is_none() && raw.blobs.is_none() {
            return Err(refuse("has no schemaVersion".into()));
        }
        let said = raw.media_type.filter(|said| is_media_type(said));
        Ok(Self {
            // from the bytes alone, so that all who read them agree
            media_type: said.unwrap_or_else(|| if is_index { INDEX } else { MANIFEST }.to_owned()),
            is_index,
            manifests: raw.manifests.unwrap_or_default(),
            config: raw.config,
            layers: raw.layers.into_iter().chain(raw.blobs).flatten().collect(),
            subject: raw.subject.map(|subject| subject.digest),
        })
    }

    /// Whether bytes of this type are a manifest or an index, to be looked into.
    pub(crate) fn is_one(media_type: &str) -> bool {
        [INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, ARTIFACT].contains(&media_type)
            || media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
    }
}

/// Whether a text may be the media type of an artifact.
pub(crate) fn is_media_type(text: &str) -> bool {
    let parts =
        text.split_once('/').is_some_and(|(ty, subtype)| !ty.is_empty() && !subtype.is_empty());
    parts && text.len() <= 255 && !text.chars().any(char::is_control)
}

/// The tags under which cosign keeps what it says of a manifest.
pub(crate) fn cosign_tags(digest: &Digest) -> impl Iterator<Item = String> {
    let base = fallback_tag(digest);
    COSIGN.iter().map(move |suffix| format!("{base}{suffix}"))
}

/// The tag under which referrers are listed where a registry has no referrers API.
pub(crate) fn fallback_tag(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.digest())
}

/// What a tag is about, if it is cosign's or of the referrers' fallback: such tags are no images of their own.
pub(crate) fn cosign_subject(tag: &str) -> Option<Digest> {
    let base = COSIGN.iter().find_map(|suffix| tag.strip_suffix(suffix)).unwrap_or(tag);
    let (algorithm, hex) = base.split_once('-')?;
    if !["sha256", "sha512"].contains(&algorithm) {
        return None;
    }
    Digest::try_from(format!("{algorithm}:{hex}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let one = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":3}}"#);
        let parse = |text: &str| Manifest::parse("x", text.as_bytes());
        let index = parse(&format!(r#"{{"schemaVersion":2,"manifests":[{one}]}}"#)).unwrap();
        assert!(index.is_index && index.media_type == INDEX);
        let image =
            parse(&format!(r#"{{"schemaVersion":2,"config":{one},"layers":[{one}]}}"#)).unwrap();
        assert!(!image.is_index && image.media_type == MANIFEST && image.layers.len() == 1);
        let artifact =
            parse(&format!(r#"{{"mediaType":"{ARTIFACT}","blobs":[{one}],"subject":{one}}}"#))
                .unwrap();
        assert_eq!(
            (artifact.layers.len(), artifact.subject.unwrap().to_string()),
            (1, digest.clone())
        );
        let old =
            parse(r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}]}"#).unwrap_err().to_string();
        assert!(old.contains("schema 1"), "{old}");
        for wrong in [
            format!(r#"{{"schemaVersion":2,"manifests":[{one}],"config":{one},"layers":[]}}"#),
            r#"{"schemaVersion":2}"#.into(),
            "[]".into(),
            "<html>".into(),
            format!(r#"{{"schemaVersion":2,"config":{one},"config":{one}}}"#),
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../../x","size":3}]}"#
                .into(),
            format!(
                r#"{{"schemaVersion":2,"layers":[{{"mediaType":"a/b","digest":"{digest}","size":-1}}]}}"#
            ),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tags_of_cosign_are_known() {
        let digest = Digest::try_from(format!("sha256:{}", "a".repeat(64))).unwrap();
        for tag in cosign_tags(&digest).chain([fallback_tag(&digest)]) {
            assert_eq!(cosign_subject(&tag), Some(digest.clone()), "{tag}");
        }
        for tag in ["v1", "sha256-abc", "sha256-abc.sig", "latest.sig"] {
            assert_eq!(cosign_subject(tag), None, "{tag}");
        }
    }
}
