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
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::bounded::Bounded;

/// Longest archive that is read, in bytes: Helm's own limit.
const MAX_CHART: u64 = 20 << 20;
/// Bytes that an archive may unpack to before its `Chart.yaml` is found, at most.
const MAX_UNPACKED: u64 = 100 << 20;
/// Longest `Chart.yaml`, in bytes.
const MAX_YAML: u64 = 1 << 20;
/// Total bytes of `Chart.yaml` over all remembered charts, at most.
const KEPT: usize = 16 << 20;
/// Artifact lists without charts that are remembered.
const CHARTLESS: usize = 200_000;
/// Minimum weight of a remembered chart, which limits their number to 4096.
const LEAST: usize = KEPT / 4096;

/// A string without the characters that YAML forbids. Null is an empty one, as in Helm.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
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
    /// Bytes of the `Chart.yaml` that it was read from.
    #[serde(skip)]
    pub(super) weight: usize,
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

/// The metadata of a chart, or the reason that an index cannot list it.
pub(super) type Known = Result<Arc<Metadata>, Arc<str>>;

/// Metadata of the charts read most recently.
#[derive(Debug)]
pub(super) struct ChartsRead {
    kept: Bounded<BlobId, Known>,
    /// Artifact lists without charts. A list is named by its digest, so it never gets any.
    chartless: Bounded<BlobId, ()>,
    /// Locked while an archive is read, so that only one is in memory at a time.
    reading: Mutex<()>,
}

impl Default for ChartsRead {
    fn default() -> Self {
        let chartless = Bounded::new(CHARTLESS);
        Self { kept: Bounded::new(KEPT), chartless, reading: Mutex::default() }
    }
}

impl ChartsRead {
    /// Whether an artifact list was found to name no chart.
    pub(super) fn is_chartless(&self, list: &BlobId) -> bool {
        self.chartless.contains(list)
    }

    pub(super) fn note_chartless(&self, list: BlobId) {
        self.chartless.insert(list, (), 1, Instant::now());
    }

    /// The metadata of a held chart, or the reason that it cannot be listed.
    ///
    /// # Errors
    ///
    /// The store's error, if the chart cannot be read now.
    pub(super) fn metadata(&self, store: &Store, artifact: &Artifact) -> Result<Known, StoreError> {
        let blob = artifact.blake3;
        if let Some(known) = self.kept.get(&blob) {
            return Ok(known);
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.kept.get(&blob) {
            return Ok(known);
        }
        if artifact.size > MAX_CHART {
            let reason = format!("is longer than {MAX_CHART} bytes, as Helm takes none");
            return Ok(Err(reason.into()));
        }
        let mut archive = Vec::new();
        let sha256 = store.copy_out(&blob, &mut archive)?;
        let known = if sha256 == artifact.sha256 {
            chart_yaml(&archive).and_then(|yaml| read(&yaml))
        } else {
            Err("is not the bytes that its release says".to_owned())
        };
        let known = known.map(Arc::new).map_err(Arc::from);
        let weight = known.as_ref().map_or(LEAST, |metadata| metadata.weight.max(LEAST));
        self.kept.insert(blob, known.clone(), weight, Instant::now());
        Ok(known)
    }
}

/// The `Chart.yaml` in the archive's top-level directory. Those of subcharts lie deeper.
fn chart_yaml(archive: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |error: std::io::Error| format!("does not unpack: {error}");
    let unpacked = flate2::read::MultiGzDecoder::new(archive).take(MAX_UNPACKED);
    for entry in tar::Archive::new(unpacked).entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if is_chart_yaml(&entry.path_bytes()) {
            if entry.size() > MAX_YAML {
                return Err(format!("has a Chart.yaml of more than {MAX_YAML} bytes"));
            }
            let mut yaml = Vec::new();
            entry.take(MAX_YAML).read_to_end(&mut yaml).map_err(broken)?;
            return Ok(yaml);
        }
    }
    Err("has no Chart.yaml, so it is not a chart".into())
}

/// Whether a path is that of `Chart.yaml` in a top-level directory. As in Helm, a path with
/// backslashes was written on Windows.
fn is_chart_yaml(path: &[u8]) -> bool {
    let separator = if path.contains(&b'\\') { b'\\' } else { b'/' };
    let mut parts =
        path.split(|b| *b == separator).filter(|part| !part.is_empty() && *part != b".").skip(1);
    parts.next() == Some(b"Chart.yaml") && parts.next().is_none()
}

/// Reads a `Chart.yaml` as Helm does: the first document counts, and the last value of a key that
/// is there twice.
fn read(yaml: &[u8]) -> Result<Metadata, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let mut text = yaml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(yaml);
    let first = serde_saphyr::read_with_options(&mut text, options).next();
    match first.unwrap_or_else(|| Ok(Metadata::default())) {
        Ok(metadata) if metadata.file().is_some() => {
            Ok(Metadata { weight: yaml.len(), ..metadata })
        }
        Ok(_) => Err("has no name and version in its Chart.yaml that make a file name".into()),
        Err(error) => {
            let said = error.to_string();
            let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
            Err(format!("has a Chart.yaml that does not parse: {said}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_found_however_its_paths_are_written() {
        for path in ["a/Chart.yaml", "./a/Chart.yaml", "a\\Chart.yaml", ".//a//Chart.yaml"] {
            assert!(is_chart_yaml(path.as_bytes()), "{path}");
        }
        for path in ["Chart.yaml", "a/charts/b/Chart.yaml", "a\\b\\Chart.yaml", "a/b\\Chart.yaml"] {
            let is_one = is_chart_yaml(path.as_bytes());
            assert_eq!(is_one, path == "a/b\\Chart.yaml", "{path}");
        }
    }

    #[test]
    fn the_index_lists_every_chart_that_helm_lists() {
        let base = "apiVersion: v2\nname: a\nversion: 1.0.0\n";
        for (extra, field, value) in [
            ("description: one\ndescription: two\n", "description", "two".into()),
            (
                "annotations: {a: one, a: two}\n",
                "annotations",
                [("a", "two")].into_iter().collect(),
            ),
            ("annotations:\n  a:\n", "annotations", [("a", "")].into_iter().collect()),
            ("keywords:\n- a\n-\n", "keywords", vec!["a", ""].into()),
            ("home:\n---\nname: b\n", "name", "a".into()),
            ("---\n", "name", "a".into()),
            ("version: 2.0.0\n", "version", "2.0.0".into()),
            ("maintainers:\n- name: x\n  email:\n", "name", "a".into()),
        ] as [(&str, &str, serde_json::Value); 8]
        {
            let all = serde_json::to_value(read(format!("{base}{extra}").as_bytes()).unwrap());
            assert_eq!(all.unwrap()[field], value, "{extra}");
        }
        let long = format!("annotations:\n  a: {}\n", "x".repeat(70_000));
        assert!(read(format!("{base}{long}").as_bytes()).is_ok());
        for odd in ["", "- a\n", "name: [a]\n", "name: ../a\nversion: 1\n", "name: a\n"] {
            assert!(read(odd.as_bytes()).unwrap_err().contains("Chart.yaml"), "{odd}");
        }
    }
}
