//! The charts of a repository.

mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perennial_manifest::{
    Artifact, ArtifactList, PublisherId, Purl, ReleaseId, Resolution, Role, Selector,
};
use perennial_store::{BlobState, Denial, ReleaseFilter, ReleaseRow, Store, StoreError};

use super::chart::{ChartsRead, Metadata};
use crate::gateway::TRUSTS_NONE;
use crate::lists::Lists;

/// Charts in one index, at most.
const MOST: usize = 5_000;
/// Bytes of `Chart.yaml` in one index, at most; Helm refuses no index for its length.
const MOST_BYTES: usize = 64 << 20;

/// A held chart.
#[derive(Debug)]
struct Chart {
    metadata: Arc<Metadata>,
    /// Whether it was released under a chart's name (`pkg:helm/…`).
    is_named: bool,
    release: ReleaseId,
    publisher: PublisherId,
    issued_at: u64,
    artifact: Artifact,
    /// The chart's signature, if the release has one.
    provenance: Option<Artifact>,
}

/// The charts of a repository, by file name.
#[derive(Debug, Default)]
pub(super) struct Charts {
    charts: BTreeMap<String, Chart>,
    /// Charts left out of the index, each with the reason.
    left_out: BTreeMap<String, String>,
    /// Charts that are denied, and not mentioned in the index; by file name, with the reason.
    denied: BTreeMap<String, String>,
    /// Bytes of `Chart.yaml`.
    bytes: usize,
    /// What else to know about the list.
    note: Option<&'static str>,
}

impl Charts {
    /// Collects the charts from the releases of one publisher, or of all trusted publishers.
    pub(super) fn gather(
        store: &Store,
        lists: &Lists,
        read: &ChartsRead,
        own: &PublisherId,
        only: Option<PublisherId>,
    ) -> Result<Self, StoreError> {
        let publishers: BTreeSet<PublisherId> = match only {
            Some(only) => BTreeSet::from([only]),
            None => store.follows().publishers.into_keys().chain([*own]).collect(),
        };
        let trusts_none = only.is_none() && store.follows().trusts_none();
        let mut charts = Self { note: trusts_none.then_some(TRUSTS_NONE), ..Self::default() };
        // Releases named as charts come first.
        let mut named: BTreeMap<(bool, Purl), Vec<ReleaseRow>> = BTreeMap::new();
        for publisher in publishers {
            let filter = ReleaseFilter { publisher: Some(publisher), ..ReleaseFilter::default() };
            for row in store.known_releases(&filter)? {
                if let Some(denial) = store.denial_of_release(&row) {
                    charts.note_denied(list_of(store, lists, &row)?.as_deref(), &row, &denial);
                } else if is_named_as_chart(&row.purl) {
                    named.entry((false, row.purl.clone())).or_default().push(row);
                } else if has_charts(store, lists, read, &row)? {
                    named.entry((true, row.purl.clone())).or_default().push(row);
                }
            }
        }
        for ((is_other, purl), rows) in named {
            // All that was said of a chart's name is here: what is said once means itself.
            if let ([row], false) = (&rows[..], is_other) {
                for (file, chart) in charts.held(store, lists, read, row)? {
                    charts.add(&purl, file, chart);
                }
                continue;
            }
            match store.resolve(&Selector::Purl(purl.clone()), own, only.as_ref())? {
                Resolution::Found(found) => {
                    let row =
                        found.first().map(|found| store.release(&found.release)).transpose()?;
                    if let Some(row) = row.flatten() {
                        for (file, chart) in charts.held(store, lists, read, &row)? {
                            charts.add(&purl, file, chart);
                        }
                    }
                }
                Resolution::Conflict(found) => {
                    let rows = found.iter().map(|found| store.release(&found.release));
                    let rows: Vec<ReleaseRow> =
                        rows.filter_map(Result::transpose).collect::<Result<_, StoreError>>()?;
                    charts.add_disputed(store, lists, read, &purl, &rows)?;
                }
                // A selector of a whole purl among trusted publishers has no other outcome.
                _ => {}
            }
        }
        Ok(charts)
    }

    /// Adds the charts of differing releases of one name, if all of them contain the same charts,
    /// held or not.
    fn add_disputed(
        &mut self,
        store: &Store,
        lists: &Lists,
        read: &ChartsRead,
        purl: &Purl,
        rows: &[ReleaseRow],
    ) -> Result<(), StoreError> {
        let mut said = BTreeSet::new();
        for row in rows {
            let list = list_of(store, lists, row)?;
            said.insert(
                list.map(|list| charts_in(&list).map(|chart| chart.blake3).collect::<Vec<_>>()),
            );
        }
        let agreed = said.len() == 1 && !said.contains(&None);
        let publishers: Vec<String> = rows.iter().map(|row| row.publisher.to_string()).collect();
        for row in rows {
            for (file, chart) in self.held(store, lists, read, row)? {
                match agreed {
                    true => self.add(purl, file, chart),
                    false if self.is_named(&file) && !is_named_as_chart(purl) => {}
                    false => {
                        self.charts.remove(&file);
                        self.left_out.insert(file, disagree(&publishers));
                    }
                }
            }
        }
        if !agreed {
            self.left_out.insert(purl.to_string(), disagree(&publishers));
        }
        Ok(())
    }

    /// Notes the charts of a denied release, as far as their names are known.
    fn note_denied(&mut self, list: Option<&ArtifactList>, row: &ReleaseRow, denial: &Denial) {
        let files = list.into_iter().flat_map(charts_in).map(Some);
        let names = files.chain([None]).flat_map(|file| names_of(row, file));
        self.denied.extend(names.map(|name| (name, denial.to_string())));
    }

    /// Why a chart is denied, if no other one has its file name.
    pub(super) fn denial(&self, file: &str) -> Option<&str> {
        self.denied.get(file.strip_suffix(".prov").unwrap_or(file)).map(String::as_str)
    }

    /// Whether a chart that was released under a chart's name has the file name.
    fn is_named(&self, file: &str) -> bool {
        self.charts.get(file).is_some_and(|chart| chart.is_named)
    }

    /// Adds a chart; a different chart of the same file name removes both.
    fn add(&mut self, purl: &Purl, file: String, chart: Chart) {
        if self.left_out.contains_key(&file) {
            return;
        }
        if self.charts.len() >= MOST {
            self.left_out.insert(purl.to_string(), format!("an index has at most {MOST} charts"));
            return;
        }
        if self.bytes.saturating_add(chart.metadata.weight) > MOST_BYTES {
            let reason = format!("an index has at most {MOST_BYTES} bytes of metadata");
            self.left_out.insert(purl.to_string(), reason);
            return;
        }
        match self.charts.get(&file) {
            Some(there)
                if there.artifact.blake3 != chart.artifact.blake3
                    && self.is_named(&file)
                    && !is_named_as_chart(purl) =>
            {
                let reason = format!("another chart is {file}, and released under that name");
                self.left_out.insert(purl.to_string(), reason);
            }
            Some(there) if there.artifact.blake3 != chart.artifact.blake3 => {
                let publishers = [there.publisher.to_string(), chart.publisher.to_string()];
                self.charts.remove(&file);
                self.left_out.insert(file, disagree(&publishers));
            }
            Some(_) => {}
            None => {
                self.bytes += chart.metadata.weight;
                self.charts.insert(file, chart);
            }
        }
    }

    /// The held charts of a release, by file name. Those that no index can list are left out by
    /// name.
    fn held(
        &mut self,
        store: &Store,
        lists: &Lists,
        read: &ChartsRead,
        row: &ReleaseRow,
    ) -> Result<Vec<(String, Chart)>, StoreError> {
        let mut found = Vec::new();
        let Some(list) = list_of(store, lists, row)? else { return Ok(found) };
        for artifact in charts_in(&list) {
            if let Some(denial) = store.denial_of_blob(&artifact.blake3)? {
                self.denied.extend(names_of(row, Some(artifact)).map(|n| (n, denial.to_string())));
                continue;
            }
            if !matches!(store.blob_state(&artifact.blake3)?, BlobState::Held { .. }) {
                continue;
            }
            let known = match read.metadata(store, artifact) {
                // Set aside as damaged, and fetched again when a client requests it.
                Err(StoreError::Corrupt { .. }) => Err("is damaged here".into()),
                other => other?,
            };
            let listed = known.and_then(|metadata| {
                let file = metadata.file().ok_or("has no file name")?;
                Ok((metadata, file))
            });
            let (metadata, file) = match listed {
                Ok(listed) => listed,
                Err(reason) => {
                    let reason = format!("{} {reason}", artifact.path);
                    self.left_out.insert(row.purl.to_string(), reason);
                    continue;
                }
            };
            found.push((
                file,
                Chart {
                    metadata,
                    is_named: is_named_as_chart(&row.purl),
                    release: row.release,
                    publisher: row.publisher,
                    issued_at: row.issued_at,
                    provenance: provenance(&list, artifact),
                    artifact: artifact.clone(),
                },
            ));
        }
        Ok(found)
    }

    /// A chart's archive or signature by file name, and its release.
    pub(super) fn file(&self, file: &str) -> Option<(ReleaseId, &Artifact)> {
        match file.strip_suffix(".prov") {
            Some(of) => self.charts.get(of).and_then(|c| Some((c.release, c.provenance.as_ref()?))),
            None => self.charts.get(file).map(|chart| (chart.release, &chart.artifact)),
        }
    }
}

/// The file names of a chart of which only the release and its list are looked at.
fn names_of(row: &ReleaseRow, file: Option<&Artifact>) -> impl Iterator<Item = String> {
    let version = row.purl.version().filter(|_| is_named_as_chart(&row.purl));
    let by_purl = version.map(|version| format!("{}-{version}.tgz", row.purl.name()));
    by_purl.into_iter().chain(file.map(|file| file.path.file_name().to_owned()))
}

fn is_named_as_chart(purl: &Purl) -> bool {
    purl.ty() == "helm"
}

/// Whether a release that is not named as a chart contains some.
fn has_charts(
    store: &Store,
    lists: &Lists,
    read: &ChartsRead,
    row: &ReleaseRow,
) -> Result<bool, StoreError> {
    if read.is_chartless(&row.artifacts.blob) {
        return Ok(false);
    }
    let Some(list) = list_of(store, lists, row)? else { return Ok(false) };
    let has_charts = charts_in(&list).next().is_some();
    if !has_charts {
        read.note_chartless(row.artifacts.blob);
    }
    Ok(has_charts)
}

/// A release's list, if it is held and undamaged.
fn list_of(
    store: &Store,
    lists: &Lists,
    row: &ReleaseRow,
) -> Result<Option<Arc<ArtifactList>>, StoreError> {
    match lists.read(store, &row.artifacts) {
        Err(StoreError::Corrupt { .. } | StoreError::InvalidList { .. }) => Ok(None),
        other => other,
    }
}

fn charts_in(list: &ArtifactList) -> impl Iterator<Item = &Artifact> {
    list.iter().filter(|artifact| artifact.role == Role::Chart)
}

fn disagree(publishers: &[String]) -> String {
    format!("publishers disagree on its bytes: {}", publishers.join(", "))
}

fn provenance(list: &ArtifactList, chart: &Artifact) -> Option<Artifact> {
    let path = format!("{}.prov", chart.path);
    list.iter().find(|artifact| artifact.path.as_str() == path).cloned()
}
