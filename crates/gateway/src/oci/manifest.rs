//! What a manifest says: its type, what it names, what it is about.
//!
//! Reads both families, docker's and OCI's. Trusts nothing: numbers are bounded, digests are checked for their form.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use perennial_manifest::Platform;
use serde::{Deserialize, Deserializer, Serialize};

use super::digest::Digest;

/// Longest manifest that is served or taken, in bytes.
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A manifest of an image, or an index of manifests, or an artifact of another kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    media_type: Option<String>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Option<Descriptor>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) layers: Vec<Descriptor>,
    /// Of the artifact manifests that OCI once had.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) blobs: Vec<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
    pub(crate) subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// Of docker's first schema, which names its layers so.
    fs_layers: Option<serde_json::Value>,
}

/// What a manifest says of something it names.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(skip_serializing)]
    platform: Option<RawPlatform>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// What some programs write as `null` is nothing.
fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl Descriptor {
    pub(crate) fn new(media_type: String, digest: &Digest, size: u64) -> Self {
        Self {
            media_type,
            digest: digest.to_string(),
            size,
            platform: None,
            urls: Vec::new(),
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.digest)
    }

    /// What it runs on, where it says so in words that a release may hold.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let raw = self.platform.as_ref()?;
        let plain = |text: &str| {
            !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control)
        };
        (plain(&raw.os) && plain(&raw.architecture)).then(|| Platform {
            os: raw.os.clone(),
            arch: raw.architecture.clone(),
            variant: raw.variant.clone().filter(|variant| plain(variant)),
        })
    }

    /// Whether registries need not hold it: layers that are only to be had where they say.
    pub(crate) fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            && (self.media_type.contains("nondistributable") || self.media_type.contains("foreign"))
    }
}

impl Manifest {
    /// Reads one. The text says what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| format!("no manifest: {e}"))?;
        let says = manifest.media_type.is_some()
            || manifest.config.is_some()
            || manifest.manifests.is_some()
            || manifest.fs_layers.is_some();
        if !says {
            return Err("no manifest: it has neither a mediaType nor a config nor manifests".into());
        }
        if manifest.named().any(|descriptor| descriptor.digest().is_none()) {
            return Err("a digest in it is not of the form sha256:… or sha512:…".into());
        }
        Ok(manifest)
    }

    /// Its own type; `told` is what it came with, for those that do not say.
    pub(crate) fn media_type(&self, told: Option<&str>) -> String {
        if let Some(own) = &self.media_type {
            return own.clone();
        }
        let plain =
            |told: &&str| !matches!(*told, "" | "application/octet-stream" | "application/json");
        let guess = if self.manifests.is_some() { OCI_INDEX } else { OCI_MANIFEST };
        told.filter(plain).unwrap_or(guess).to_owned()
    }

    /// Whether it says what it is.
    pub(crate) fn own_media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    pub(crate) fn is_index(&self) -> bool {
        self.manifests.is_some()
    }

    /// The manifests of an index.
    pub(crate) fn children(&self) -> &[Descriptor] {
        self.manifests.as_deref().unwrap_or_default()
    }

    /// The blobs of an image or artifact.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.blobs)
    }

    fn named(&self) -> impl Iterator<Item = &Descriptor> {
        self.parts().chain(self.children()).chain(&self.subject)
    }

    /// The type of artifact it is to referrers: its own word, else that of its config.
    pub(crate) fn kind(&self) -> Option<&str> {
        let config = || self.config.as_ref().map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or_else(config).filter(|kind| !kind.is_empty())
    }
}

/// Whether a client takes a manifest of this type, as the reference registry has it; one that says nothing takes all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Yes, or its type is one that is not asked about.
    Yes,
    /// It is a list, and the client wants a single image: that for linux on amd64.
    OneOfList,
    /// No, for this reason.
    No(&'static str),
}

/// Decides by the `Accept` headers. `by_tag`: only then does one of a list stand for it.
pub(crate) fn taken(headers: &HeaderMap, media_type: &str, by_tag: bool) -> Taken {
    let texts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = texts
        .flat_map(|text| text.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .filter(|kind| !kind.is_empty())
        .collect();
    let any =
        accepted.is_empty() || accepted.iter().any(|kind| matches!(*kind, "*/*" | "application/*"));
    if any || accepted.contains(&media_type) {
        return Taken::Yes;
    }
    match media_type {
        OCI_MANIFEST => Taken::No("an OCI manifest, which the Accept header does not take"),
        OCI_INDEX => Taken::No("an OCI index, which the Accept header does not take"),
        DOCKER_LIST if by_tag && accepted.contains(&DOCKER_MANIFEST) => Taken::OneOfList,
        _ => Taken::Yes,
    }
}

/// The image for linux on amd64 in a list.
pub(crate) fn default_of(list: &Manifest) -> Option<Digest> {
    let wanted = |platform: Platform| platform.os == "linux" && platform.arch == "amd64";
    list.children().iter().find(|child| child.platform().is_some_and(wanted))?.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&str], media_type: &str, by_tag: bool) -> Taken {
        let headers =
            values.iter().map(|value| (header::ACCEPT, value.parse().expect("a value"))).collect();
        taken(&headers, media_type, by_tag)
    }

    #[test]
    fn accept_is_read_as_the_reference_registry_does() {
        assert_eq!(accept(&[], OCI_INDEX, true), Taken::Yes);
        assert_eq!(accept(&["*/*"], OCI_INDEX, true), Taken::Yes);
        assert_eq!(
            accept(&[DOCKER_MANIFEST, &format!("x/y, {OCI_INDEX};q=0.5")], OCI_INDEX, true),
            Taken::Yes
        );
        assert!(matches!(accept(&[DOCKER_MANIFEST], OCI_INDEX, true), Taken::No(_)));
        assert!(matches!(accept(&[DOCKER_MANIFEST], OCI_MANIFEST, false), Taken::No(_)));
        assert_eq!(accept(&[DOCKER_MANIFEST], DOCKER_LIST, true), Taken::OneOfList);
        assert_eq!(accept(&[DOCKER_MANIFEST], DOCKER_LIST, false), Taken::Yes);
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_the_reason() {
        for wrong in [
            "",
            "[]",
            "{}",
            "null",
            "\"x\"",
            r#"{"mediaType":1}"#,
            r#"{"config":{"digest":"md5:0"}}"#,
        ] {
            assert!(Manifest::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let list = Manifest::parse(
            format!(r#"{{"manifests":[{{"digest":"sha256:{}","platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#, "0".repeat(64))
                .as_bytes(),
        )
        .expect("a list");
        assert!(list.is_index() && default_of(&list).is_some());
        assert_eq!(list.media_type(None), OCI_INDEX);
        assert_eq!(list.media_type(Some(DOCKER_LIST)), DOCKER_LIST);
    }
}
