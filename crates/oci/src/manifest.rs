//! Manifests and indexes, docker's and OCI's: their references, and nothing else.
//!
//! Promises one verdict for pushes, pulls and imports: a manifest that two readers could understand
//! differently is refused by all of them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::descriptor::texts;
use crate::fields::Fields;
use crate::role::is_media_type;
use crate::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Digest, DigestError, OCI_INDEX, OCI_MANIFEST,
    REF_NAME,
};

/// Longest manifest or index that is read, in bytes. Registries must expect 4 MB (distribution
/// specification 1.1, "Pushing Manifests"), and share that bound.
pub const MAX_MANIFEST: u64 = 4 << 20;

/// A value for the `Accept` header of requests for manifests of every kind.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.artifact.manifest.v1+json, */*";

/// Most characters of a field that an error quotes.
const QUOTED: usize = 40;

/// The fields that are read, and their places.
const FIELDS: [&str; 9] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "manifests",
    "config",
    "layers",
    "blobs",
    "subject",
    "annotations",
];
const AT: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/// A manifest of an image or artifact, or an index of manifests.
///
/// ```
/// use perennial_oci::{Digest, Manifest, ManifestError, OCI_MANIFEST};
///
/// let digest = Digest::sha256_of(b"{}");
/// let blob = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":2}}"#);
/// let image = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}]}}"#);
/// let image = Manifest::parse(image.as_bytes())?;
/// assert_eq!((image.media_type(), image.layers[0].digest), (OCI_MANIFEST, digest));
///
/// // One reader would see an image here, another one an index.
/// let both = format!(r#"{{"schemaVersion":2,"config":{blob},"manifests":[{blob}]}}"#);
/// assert!(matches!(Manifest::parse(both.as_bytes()), Err(ManifestError::Ambiguous)));
/// # Ok::<(), ManifestError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Manifest {
    declared: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    /// The config of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an artifact manifest.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is a statement about.
    pub subject: Option<Digest>,
    /// Further properties by key.
    pub annotations: BTreeMap<String, String>,
    artifact_type: Option<String>,
}

/// Bytes that are not a manifest, or not one that all readers understand alike.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not JSON, or not with the fields of a manifest.
    #[error("is not an image manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// Docker's first format.
    #[error(
        "is a manifest of schema 1, which names its layers by no digest that could be checked \
         after a conversion; pull and push it once with a current docker or skopeo, and add the \
         result"
    )]
    Schema1,
    /// A format that is not known.
    #[error("has {found}; only schemaVersion 2, a whole number, is read")]
    SchemaVersion {
        /// What is there instead.
        found: String,
    },
    /// Has the fields of an image and those of an index.
    #[error(
        "is an index and a manifest at once: some readers would take it for the one, some for the \
         other"
    )]
    Ambiguous,
    /// Has the fields of neither.
    #[error("is neither an image manifest nor an index")]
    Neither,
    /// Refers to content by something that is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Refers to content without saying all that a descriptor must.
    #[error("names {digest} without {field}")]
    Descriptor {
        /// The digest of the descriptor.
        digest: Digest,
        /// The field that is missing.
        field: &'static str,
    },
}

/// An entry of an index that is not whole.
#[derive(Debug)]
pub struct OddEntry {
    /// Its place in the list, from 1.
    pub number: usize,
    /// The name that a layout gives it, or else its digest, as far as they can be read.
    pub called: Option<String>,
    /// What is wrong with it.
    pub error: ManifestError,
}

impl OddEntry {
    fn new(number: usize, json: &[u8], error: ManifestError) -> Self {
        let text = |json, name| Fields::find(json, [name]).ok()?.get::<String>(0).ok()?;
        let name = || {
            let annotations = Fields::find(json, ["annotations"]).ok()?.raw(0)?;
            text(annotations, REF_NAME)
        };
        Self { number, called: name().or_else(|| text(json, "digest")), error }
    }
}

/// The number of a manifest's format; zero is the same as none, as in Go.
fn schema_version(json: Option<&[u8]>) -> Result<Option<u64>, ManifestError> {
    let Some(json) = json else { return Ok(None) };
    match serde_json::from_slice::<u64>(json) {
        Ok(0) => Ok(None),
        Ok(version) => Ok(Some(version)),
        Err(_) => {
            let text: String = String::from_utf8_lossy(json).chars().take(QUOTED).collect();
            Err(ManifestError::SchemaVersion { found: format!("schemaVersion {text}") })
        }
    }
}

/// An index names manifests; whether a child of no type is an image or an index is in its bytes.
fn typed(mut children: Vec<Descriptor>) -> Vec<Descriptor> {
    for child in children.iter_mut().filter(|child| child.media_type.is_empty()) {
        OCI_MANIFEST.clone_into(&mut child.media_type);
    }
    children
}

impl Manifest {
    /// Reads a manifest or an index. Length is for the caller to bound ([`MAX_MANIFEST`]).
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes are not a manifest, or one that could be read in two ways.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let (parsed, odd) = Self::parse_entries(bytes)?;
        odd.into_iter().next().map_or(Ok(parsed), |odd| Err(odd.error))
    }

    /// Reads a manifest or an index as [`Self::parse`] does, but leaves out the entries of an index
    /// that are not whole, and returns them: in a layout, one bad entry costs no other image.
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes are not a manifest, or one that could be read in two ways.
    pub fn parse_entries(bytes: &[u8]) -> Result<(Self, Vec<OddEntry>), ManifestError> {
        let fields = Fields::find(bytes, FIELDS)?;
        let [version, declared, kind, manifests, config, layers, blobs, subject, annotations] = AT;
        let declared = fields.get::<String>(declared)?;
        let schema = schema_version(fields.raw(version))?;
        let listed = fields.get::<Vec<&RawValue>>(manifests)?;
        let is_image = [config, layers, blobs].iter().any(|at| fields.raw(*at).is_some());
        // As in Go, an index may name nothing: its list is `null`, or missing.
        let is_called_index = matches!(declared.as_deref(), Some(OCI_INDEX | DOCKER_LIST));
        let is_index = listed.is_some() || !is_image && (fields.has(manifests) || is_called_index);
        match (is_index, is_image) {
            (false, false) if schema == Some(1) => return Err(ManifestError::Schema1),
            (true, true) => return Err(ManifestError::Ambiguous),
            (false, false) => return Err(ManifestError::Neither),
            _ => {}
        }
        // Early layouts have an index without it, and artifact manifests never had it. Engines go
        // by the media type, whatever number is here, if nothing else can be meant.
        let is_called_image = matches!(declared.as_deref(), Some(OCI_MANIFEST | DOCKER_MANIFEST));
        let is_whole = [config, layers].iter().all(|at| fields.raw(*at).is_some());
        let is_clear = is_index || fields.raw(blobs).is_some() || is_called_image || is_whole;
        if schema != Some(2) && !is_clear {
            let found = schema.map(|version| format!("schemaVersion {version}"));
            let found = found.unwrap_or_else(|| "no schemaVersion".into());
            return Err(ManifestError::SchemaVersion { found });
        }
        let (mut entries, mut odd) = (Vec::new(), Vec::new());
        for (at, entry) in listed.into_iter().flatten().enumerate() {
            match Descriptor::read(entry.get().as_bytes()) {
                Ok(entry) => entries.push(entry),
                Err(error) => odd.push(OddEntry::new(at + 1, entry.get().as_bytes(), error)),
            }
        }
        let mut parts = Vec::new();
        for at in [layers, blobs] {
            for part in fields.get::<Vec<&RawValue>>(at)?.into_iter().flatten() {
                parts.push(Descriptor::read(part.get().as_bytes())?);
            }
        }
        let subject = fields.raw(subject).map(|json| Fields::find(json, ["digest"])).transpose()?;
        let subject = subject.map(|subject| subject.get::<String>(0)).transpose()?;
        let parsed = Self {
            declared,
            manifests: is_index.then(|| typed(entries)),
            config: fields.raw(config).map(Descriptor::read).transpose()?,
            layers: parts,
            subject: subject.map(|digest| digest.unwrap_or_default().parse()).transpose()?,
            annotations: texts(fields.get(annotations)?),
            artifact_type: fields.get(kind)?,
        };
        Ok((parsed, odd))
    }

    /// The media type, from the bytes alone, so that all who hold them agree: the one that the
    /// manifest declares, or else OCI's.
    #[must_use]
    pub fn media_type(&self) -> &str {
        let by_fields = if self.is_index() { OCI_INDEX } else { OCI_MANIFEST };
        self.declared.as_deref().filter(|declared| is_media_type(declared)).unwrap_or(by_fields)
    }

    /// The media type that the manifest declares, as it stands there.
    #[must_use]
    pub fn declared_media_type(&self) -> Option<&str> {
        self.declared.as_deref()
    }

    /// Whether this is an index of manifests.
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.manifests.is_some()
    }

    /// The content that an index names; nothing for an image.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        self.manifests.as_deref().unwrap_or_default()
    }

    /// The children that `wanted` picks, and a builder's attestations of those.
    pub fn select(&self, wanted: impl Fn(&Descriptor) -> bool) -> Vec<&Descriptor> {
        let mut chosen: Vec<&Descriptor> =
            self.children().iter().filter(|child| wanted(child)).collect();
        let digests: Vec<Digest> = chosen.iter().map(|child| child.digest).collect();
        let is_about = |child: &&Descriptor| {
            let subject = child.attests().and_then(|digest| digest.parse().ok());
            !digests.contains(&child.digest)
                && subject.is_some_and(|subject| digests.contains(&subject))
        };
        chosen.extend(self.children().iter().filter(is_about));
        chosen
    }

    /// The type under which referrers are listed: its own word, or else that of its config.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        let config = || self.config.as_ref().map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or_else(config).filter(|kind| !kind.is_empty())
    }
}
