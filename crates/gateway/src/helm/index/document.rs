//! The `index.yaml` that Helm reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::SecondsFormat;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use super::Charts;
use crate::feed::date;
use crate::files::SEGMENT;
use crate::helm::chart::Metadata;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    api_version: &'static str,
    generated: String,
    entries: BTreeMap<&'a str, Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    urls: [String; 1],
    created: String,
    digest: String,
}

impl Charts {
    /// The serialized index. It depends only on the charts, so that equal indexes are equal bytes.
    pub(in crate::helm) fn index(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut entries: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
        for (file, chart) in &self.charts {
            entries.entry(&chart.metadata.name.0).or_default().push(Entry {
                metadata: &chart.metadata,
                urls: [format!("charts/{}", utf8_percent_encode(file, SEGMENT))],
                created: rfc3339(chart.issued_at),
                digest: chart.artifact.sha256.to_hex(),
            });
        }
        let newest = self.charts.values().map(|chart| chart.issued_at).max().unwrap_or(0);
        let mut annotations = BTreeMap::new();
        if !self.left_out.is_empty() {
            let mut text = String::new();
            for (what, why) in &self.left_out {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{what}: {why}");
            }
            annotations.insert("perennial/left-out", text);
        }
        if let Some(note) = self.note {
            annotations.insert("perennial/note", note.to_owned());
        }
        serde_json::to_vec_pretty(&Index {
            api_version: "v1",
            generated: rfc3339(newest),
            entries,
            annotations,
        })
    }
}

fn rfc3339(seconds: u64) -> String {
    date(seconds).to_rfc3339_opts(SecondsFormat::Secs, true)
}
