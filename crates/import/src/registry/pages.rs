//! The statements about a manifest: its referrers, and those under cosign's tags.
//!
//! Each way of asking stands by itself: registries refuse what they do not have in many ways, and
//! the failure of one way does not cost what another one finds.

use std::collections::BTreeSet;

use perennial_oci::{
    Digest, Manifest, ManifestError, OCI_INDEX, OddEntry, cosign_tags, referrers_tag,
};
use reqwest::StatusCode;

use super::answer::refusal;
use super::link::{Next, next_page};
use super::repository::{Repository, is_absent};
use crate::ImportError;
use crate::error::shown;
use crate::image::Attached;

/// Most referrers of a manifest that are taken.
const MAX_REFERRERS: usize = 2_000;
/// Most pages of them that are read: one can be empty where a registry filters its pages.
const MAX_PAGES: usize = 200;

impl Repository {
    /// The referrers of a manifest, by the API or else by its tag, and those under cosign's tags;
    /// also the ways of asking that failed.
    pub(super) async fn attached(&self, digest: &Digest) -> (Vec<Attached>, Vec<ImportError>) {
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        let mut by_api = false;
        if self.has_referrers() {
            match self.referrers(digest, &mut found).await {
                Ok(is_there) => by_api = is_there,
                Err(error) => failed.push(error),
            }
        }
        if !by_api && let Err(error) = self.referrers_tag(digest, &mut found).await {
            failed.push(error);
        }
        for tag in cosign_tags(digest) {
            match self.statement_tag(&tag).await {
                Ok(Some(named)) => {
                    found.push(Attached { digest: named.digest, tag: Some(tag) });
                }
                Ok(None) => {}
                Err(error) => failed.push(error),
            }
        }
        (found, failed)
    }

    /// Adds the referrers by the API, as far as they can be read; `false` if the registry does not
    /// have it.
    async fn referrers(
        &self,
        digest: &Digest,
        found: &mut Vec<Attached>,
    ) -> Result<bool, ImportError> {
        let mut url = self.url(&format!("referrers/{digest}"))?;
        let mut asked = BTreeSet::new();
        let mut odd_entry = None;
        let cut = |reason: String| ImportError::Upstream { what: digest.to_string(), reason };
        loop {
            let is_first = asked.is_empty();
            if !asked.insert(url.clone()) {
                return Err(cut("its referrers' pages lead back to one that was read".into()));
            }
            let got = self.probe(&url, OCI_INDEX).await?;
            // Registries report a missing API in many ways; being busy is not one of them.
            if is_first && is_absent(got.status, &got.headers) {
                use StatusCode as Status;
                if matches!(
                    got.status,
                    Status::NOT_FOUND | Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED
                ) {
                    self.note_no_referrers();
                }
                return Ok(false);
            }
            if !got.status.is_success() {
                return Err(refusal(&url, got.status, &got.headers, &got.bytes));
            }
            let page = match Manifest::parse_entries(&got.bytes) {
                // Some registries answer every path, with an HTML page or an object of their own.
                Err(ManifestError::Neither) if is_first => return Ok(false),
                Err(ManifestError::Json(_)) if is_first && !is_object(&got.bytes) => {
                    return Ok(false);
                }
                Err(error) => return Err(ImportError::manifest(shown(&url), error)),
                Ok((page, _)) if is_first && !page.is_index() => return Ok(false),
                Ok((page, odd)) => {
                    let odd = take(&page, odd, found).map_err(cut)?;
                    odd_entry = odd_entry.or(odd);
                    next_page(&url, &got.headers)
                }
            };
            url = match page {
                Next::Nothing => return odd_entry.map_or(Ok(true), |odd| Err(cut(odd))),
                Next::At(_) if asked.len() >= MAX_PAGES => {
                    return Err(cut(format!("has more than {MAX_PAGES} pages of referrers")));
                }
                Next::At(next) => next,
                Next::Unreadable(link) => {
                    return Err(cut(format!(
                        "its next page of referrers is at {link:?}, which is no address"
                    )));
                }
            };
        }
    }

    /// Adds the referrers that are listed under a tag.
    async fn referrers_tag(
        &self,
        digest: &Digest,
        found: &mut Vec<Attached>,
    ) -> Result<(), ImportError> {
        let url = self.url(&format!("manifests/{}", referrers_tag(digest)))?;
        let got = self.probe(&url, OCI_INDEX).await?;
        if is_absent(got.status, &got.headers) {
            return Ok(());
        }
        if !got.status.is_success() {
            return Err(refusal(&url, got.status, &got.headers, &got.bytes));
        }
        let (index, odd) = Manifest::parse_entries(&got.bytes)
            .map_err(|error| ImportError::manifest(shown(&url), error))?;
        let cut = |reason| ImportError::Upstream { what: digest.to_string(), reason };
        take(&index, odd, found).map_err(cut)?.map_or(Ok(()), |odd| Err(cut(odd)))
    }
}

/// Adds the entries of an index, some of which may be known already. Returns what is wrong with the
/// first of those that are none, or why no more are added.
fn take(
    index: &Manifest,
    odd: Vec<OddEntry>,
    found: &mut Vec<Attached>,
) -> Result<Option<String>, String> {
    for child in index.children() {
        if found.iter().any(|known| known.digest == child.digest) {
            continue;
        }
        if found.len() >= MAX_REFERRERS {
            return Err(format!("has more than {MAX_REFERRERS} referrers"));
        }
        found.push(Attached { digest: child.digest, tag: None });
    }
    let odd = odd.into_iter().next();
    Ok(odd.map(|odd| format!("entry {} of its referrers: {}", odd.number, odd.error)))
}

/// Whether a body is an object of JSON: a list of referrers, perhaps one that is not well formed.
fn is_object(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes).is_ok()
}
