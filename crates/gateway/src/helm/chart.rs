//! What a chart says of itself: its `Chart.yaml`, read from the archive.
//!
//! Owns the bounds of that reading, and which fields an index may have: Helm refuses an index with others.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use perennial_manifest::{Artifact, BlobId};
use perennial_store::{Store, StoreError};
use serde::{Deserialize, Deserializer, Serialize};

/// Longest archive that is read; Helm itself takes no larger one.
const MAX_CHART: u64 = 20 << 20;
/// Most bytes that an archive may unpack to before its `Chart.yaml` was found.
const MAX_UNPACKED: u64 = 100 << 20;
/// Longest `Chart.yaml`.
const MAX_YAML: u64 = 64 << 10;
/// How many charts are remembered, and how many bytes of `Chart.yaml` they may have had together.
const KEPT: (usize, usize) = (4096, 16 << 20);

/// A text without the characters that YAML may not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        text.retain(|c| match c {
            '\t' | '\n' | '\r' => true,
            '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
            c => !c.is_control(),
        });
        Ok(Self(text))
    }
}

/// The fields that Helm knows (`chart.Metadata`), each left out where it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: Text,
    pub(super) version: Text,
    #[serde(skip_serializing_if = "is_empty")]
    home: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    sources: Option<Vec<Text>>,
    #[serde(skip_serializing_if = "is_empty")]
    description: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    keywords: Option<Vec<Text>>,
    #[serde(skip_serializing_if = "is_empty")]
    maintainers: Option<Vec<Maintainer>>,
    #[serde(skip_serializing_if = "is_empty")]
    icon: Option<Text>,
    api_version: Text,
    #[serde(skip_serializing_if = "is_empty")]
    condition: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    tags: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    app_version: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    deprecated: Option<bool>,
    #[serde(skip_serializing_if = "is_empty")]
    annotations: Option<BTreeMap<Text, Text>>,
    #[serde(skip_serializing_if = "is_empty")]
    kube_version: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    dependencies: Option<Vec<Dependency>>,
    #[serde(rename = "type", skip_serializing_if = "is_empty")]
    kind: Option<Text>,
}

fn is_empty<T>(value: &Option<T>) -> bool {
    value.is_none()
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Maintainer {
    name: Text,
    #[serde(skip_serializing_if = "is_empty")]
    email: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    url: Option<Text>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Dependency {
    name: Text,
    #[serde(skip_serializing_if = "is_empty")]
    version: Option<Text>,
    repository: Text,
    #[serde(skip_serializing_if = "is_empty")]
    condition: Option<Text>,
    #[serde(skip_serializing_if = "is_empty")]
    tags: Option<Vec<Text>>,
    #[serde(skip_serializing_if = "is_empty")]
    alias: Option<Text>,
}

impl Metadata {
    /// The name of its archive, as Helm makes it. None where a part may not be in a file's name.
    pub(super) fn file(&self) -> Option<String> {
        let plain = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
            !text.is_empty()
                && text.len() <= 250
                && !text.starts_with('.')
                && text.chars().all(fits)
        };
        let (name, version) = (&self.name.0, &self.version.0);
        (plain(name) && plain(version)).then(|| format!("{name}-{version}.tgz"))
    }
}

/// What was read of charts; none of what is no chart.
#[derive(Debug, Default)]
pub(super) struct ChartsRead {
    kept: Mutex<VecDeque<Kept>>,
    /// Held while an archive is read: one at a time is in memory.
    reading: Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    blob: BlobId,
    yaml_bytes: usize,
    metadata: Option<Arc<Metadata>>,
}

impl ChartsRead {
    fn known(&self, blob: &BlobId) -> Option<Option<Arc<Metadata>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|kept| kept.blob == *blob).map(|kept| kept.metadata.clone())
    }

    /// What a chart that is held says of itself; none if it is no chart, or not the bytes that the list claims. An error
    /// where it cannot be read now.
    pub(super) fn metadata(
        &self,
        store: &Store,
        artifact: &Artifact,
    ) -> Result<Option<Arc<Metadata>>, StoreError> {
        let blob = artifact.blake3;
        if let Some(known) = self.known(&blob) {
            return Ok(known);
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known(&blob) {
            return Ok(known);
        }
        if artifact.size > MAX_CHART {
            return Ok(None);
        }
        let mut archive = Vec::new();
        let sha256 = store.copy_out(&blob, &mut archive)?;
        let yaml = if sha256 == artifact.sha256 { chart_yaml(&archive) } else { None };
        let metadata = yaml.as_deref().and_then(read).map(Arc::new);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let yaml_bytes = yaml.map_or(0, |yaml| yaml.len());
        kept.push_back(Kept { blob, yaml_bytes, metadata: metadata.clone() });
        while kept.len() > KEPT.0 || kept.iter().map(|kept| kept.yaml_bytes).sum::<usize>() > KEPT.1
        {
            kept.pop_front();
        }
        Ok(metadata)
    }
}

/// The `Chart.yaml` in the archive's one directory; those of charts inside lie deeper.
fn chart_yaml(archive: &[u8]) -> Option<Vec<u8>> {
    let unpacked = flate2::read::MultiGzDecoder::new(archive).take(MAX_UNPACKED);
    for entry in tar::Archive::new(unpacked).entries().ok()? {
        let entry = entry.ok()?;
        let path = entry.path_bytes();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        let mut parts = path.split(|b| *b == b'/').skip(1);
        if parts.next() == Some(b"Chart.yaml") && parts.next().is_none() {
            if entry.size() > MAX_YAML {
                return None;
            }
            let mut yaml = Vec::new();
            entry.take(MAX_YAML).read_to_end(&mut yaml).ok()?;
            return Some(yaml);
        }
    }
    None
}

fn read(yaml: &[u8]) -> Option<Metadata> {
    match serde_saphyr::from_slice::<Metadata>(yaml) {
        Ok(metadata) => metadata.file().is_some().then_some(metadata),
        Err(error) => {
            tracing::debug!(%error, "a Chart.yaml that does not read");
            None
        }
    }
}
