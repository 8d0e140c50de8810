//! The files of a release as they are collected, with the responses observed on the way.

use std::collections::HashMap;

use perennial_manifest::{Artifact, Draft, Observation, Origin, Purl, Verdict};
use perennial_store::{Added, Lease};
use reqwest::Url;

use crate::download::{Answer, Taken};
use crate::{Failed, ImportError, Imported};

/// Most origins recorded per file.
const ORIGINS: usize = perennial_manifest::artifact::MAX_ORIGINS;

/// Collected artifacts, and the leases that keep their blobs.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    artifacts: Vec<Artifact>,
    /// Indices into `artifacts` by twin key, so that names equal on any file system count as one.
    places: HashMap<String, usize>,
    observations: Vec<Observation>,
    leases: Vec<Lease>,
    new_bytes: u64,
    keep_query: bool,
    withheld: Vec<String>,
}

impl Collected {
    /// Nothing yet. With `keep_query`, queries of URLs are signed as they are.
    pub(crate) fn new(keep_query: bool) -> Self {
        Self { keep_query, ..Self::default() }
    }

    /// A URL as it is signed. What is left out of it is said to the user.
    pub(crate) fn signed(&mut self, url: &Url) -> String {
        let mut url = url.clone();
        url.set_fragment(None);
        let origin = match self.keep_query {
            true => Origin::whole(url.as_str()),
            false => Origin::of(url.as_str()),
        };
        origin.remarks().for_each(|said| self.withhold(said));
        origin.text
    }

    /// The places that a file came from: the URL asked for, and where it was redirected to.
    pub(crate) fn origins(&mut self, asked: &Url, answer: &Answer) -> Vec<String> {
        let mut origins = vec![self.signed(asked)];
        let target = answer.redirected(asked).filter(|target| *target != origins[0]);
        origins.extend(target);
        origins
    }

    /// Notes that a part of a URL is not signed.
    fn withhold(&mut self, said: String) {
        if !self.withheld.contains(&said) {
            self.withheld.push(said);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.artifacts.is_empty()
    }

    /// Counts the stored blobs and holds their lease.
    pub(crate) fn keep(&mut self, taken: Taken) -> Vec<Added> {
        self.new_bytes = self.new_bytes.saturating_add(taken.new_bytes());
        self.leases.push(taken.lease);
        taken.added
    }

    /// The artifact that already has this twin key.
    pub(crate) fn named(&self, key: &str) -> Option<&Artifact> {
        self.places.get(key).map(|at| &self.artifacts[*at])
    }

    /// Adds a file. A file already present under the name gains the origins if its bytes are the
    /// same.
    pub(crate) fn add(&mut self, artifact: Artifact) -> Result<(), ImportError> {
        let key = artifact.path.twin_key();
        let Some(at) = self.places.get(&key) else {
            self.places.insert(key, self.artifacts.len());
            self.artifacts.push(artifact);
            return Ok(());
        };
        let there = &mut self.artifacts[*at];
        if there.blake3 != artifact.blake3 {
            return Err(ImportError::Unfit {
                what: artifact.origins.first().cloned().unwrap_or_default(),
                reason: format!(
                    "another file of this release is called {}; add it by itself",
                    there.path
                ),
            });
        }
        for origin in artifact.origins {
            if !there.origins.contains(&origin) && there.origins.len() < ORIGINS {
                there.origins.push(origin);
            }
        }
        Ok(())
    }

    /// Records the response of a URL as an observation.
    pub(crate) fn observe(&mut self, url: &Url, answer: &Answer, added: &Added) {
        let url = self.signed(url);
        self.observations.push(Observation {
            url,
            fetched_at: answer.at,
            status: Some(answer.status),
            etag: answer.etag.clone(),
            last_modified: answer.last_modified.clone(),
            size: Some(added.size),
            blake3: Some(added.blob),
            sha256: Some(added.sha256),
            verdict: Verdict::Same,
        });
    }

    /// Drafts the release of all collected files.
    pub(crate) fn into_imported(
        self,
        purl: Purl,
        license: Option<String>,
        from: String,
        notes: Option<String>,
        failed: Vec<Failed>,
    ) -> Imported {
        let draft = Draft {
            purl,
            license,
            artifacts: self.artifacts,
            from,
            tags: std::collections::BTreeMap::new(),
            observations: self.observations,
            notes,
        };
        Imported {
            drafts: vec![draft],
            failed,
            unchecked: Vec::new(),
            new_bytes: self.new_bytes,
            completeness: Vec::new(),
            leases: self.leases,
            withheld: self.withheld,
        }
    }
}
