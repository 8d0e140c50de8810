//! A chart's metadata: its `Chart.yaml`, read from the archive.
//!
//! Owns the limits on reading the archive, and the fields that an index may contain: Helm rejects
//! unknown ones.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use perennial_manifest::{Artifact, BlobId};
use perennial_store::{Store, StoreError};
use serde::{Deserialize, Deserializer, Serialize};

use crate::bounded::Bounded;

/// Longest archive that is read, in bytes: Helm's own limit.
const MAX_CHART: u64 = 20 << 20;
/// Bytes that an archive may unpack to before its `Chart.yaml` is found, at most.
const MAX_UNPACKED: u64 = 100 << 20;
/// Longest `Chart.yaml`, in bytes.
const MAX_YAML: u64 = 64 << 10;
/// Total bytes of `Chart.yaml` over all remembered charts, at most.
const KEPT: usize = 16 << 20;
/// Minimum weight of a remembered chart, which limits their number to 4096.
const LEAST: usize = KEPT / 4096;

/// A string without the characters that YAML forbids.
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

/// The fields that Helm knows (`chart.Metadata`). Empty fields are omitted.
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
    /// The file name of the chart's archive, as Helm forms it; `None` if the name or version cannot
    /// be part of a file name.
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

/// Metadata of the charts read most recently; `None` for archives that are not charts.
#[derive(Debug)]
pub(super) struct ChartsRead {
    kept: Bounded<BlobId, Option<Arc<Metadata>>>,
    /// Locked while an archive is read, so that only one is in memory at a time.
    reading: Mutex<()>,
}

impl Default for ChartsRead {
    fn default() -> Self {
        Self { kept: Bounded::new(KEPT), reading: Mutex::default() }
    }
}

impl ChartsRead {
    /// The metadata of a held chart; `None` if the archive is not a chart, or is not the bytes that
    /// the list claims.
    ///
    /// # Errors
    ///
    /// The store's error, if the chart cannot be read now.
    pub(super) fn metadata(
        &self,
        store: &Store,
        artifact: &Artifact,
    ) -> Result<Option<Arc<Metadata>>, StoreError> {
        let blob = artifact.blake3;
        if let Some(known) = self.kept.get(&blob) {
            return Ok(known);
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.kept.get(&blob) {
            return Ok(known);
        }
        if artifact.size > MAX_CHART {
            return Ok(None);
        }
        let mut archive = Vec::new();
        let sha256 = store.copy_out(&blob, &mut archive)?;
        let yaml = if sha256 == artifact.sha256 { chart_yaml(&archive) } else { None };
        let metadata = yaml.as_deref().and_then(read).map(Arc::new);
        let weight = yaml.map_or(LEAST, |yaml| yaml.len().max(LEAST));
        self.kept.insert(blob, metadata.clone(), weight, Instant::now());
        Ok(metadata)
    }
}

/// The `Chart.yaml` in the archive's top-level directory. Those of subcharts lie deeper.
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
            tracing::debug!(%error, "Chart.yaml does not parse");
            None
        }
    }
}
