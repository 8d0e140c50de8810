//! The tags of a repository, page by page.
//!
//! Promises that no page is lost in silence: a next page that is named and cannot be read is asked
//! for by `?last=`, and if that fails as well, the list says where it was cut.

use std::collections::BTreeSet;

use perennial_oci::is_tag;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::link::next_page;
use super::repository::Repository;
use crate::error::shown;
use crate::{Failed, ImportError};

const MAX_PAGES: usize = 1_000;
const MAX_TAGS: usize = 100_000;
/// Longest page, in bytes: some registries list all tags at once, of at most 128 bytes each.
const MAX_PAGE: u64 = 16 << 20;
/// The number of tags asked for at once.
const PAGE: usize = 1_000;

/// The tags that a registry lists.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) tags: BTreeSet<String>,
    /// Entries that are not tags, and the reason that the list ends early.
    pub(super) failed: Vec<Failed>,
}

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<Value>>,
}

impl Repository {
    /// All tags of the repository, as far as they are listed.
    pub(super) async fn tags(&self) -> Result<Tags, ImportError> {
        let list = self.url("tags/list")?;
        let mut listed = Tags::default();
        let mut asked = BTreeSet::new();
        let mut last: Option<String> = None;
        let mut next = self.url(&format!("tags/list?n={PAGE}"))?;
        // Whether the registry went on by `?last=` where its own link failed.
        let mut goes_on = false;
        let cut = loop {
            let is_new = asked.insert(next.clone());
            let page = if is_new { self.page(&next).await } else { Err(circle(&next)) };
            let (page, link, by_last) = match (page, &last) {
                (Ok((page, link)), _) => (page, link, false),
                (Err(error), None) => return Err(error),
                (Err(error), Some(last)) => {
                    let mut after = list.clone();
                    after.query_pairs_mut().append_pair("n", &PAGE.to_string());
                    after.query_pairs_mut().append_pair("last", last);
                    let is_new = asked.insert(after.clone());
                    match if is_new { self.page(&after).await } else { Err(circle(&after)) } {
                        Ok((page, link)) => (page, link, true),
                        Err(_) => break Some(error),
                    }
                }
            };
            let (known, is_empty) = (listed.tags.len(), page.is_empty());
            let is_full = page.len() >= PAGE;
            for entry in page {
                last = entry.as_str().map(str::to_owned).or(last);
                listed.take(&list, entry);
            }
            let grew = listed.tags.len() > known;
            if by_last && !grew {
                break (!goes_on || !is_empty).then(|| circle(&next));
            }
            goes_on |= by_last;
            if listed.tags.len() > MAX_TAGS || asked.len() > MAX_PAGES {
                let reason = format!("has more than {MAX_TAGS} tags, or {MAX_PAGES} pages of them");
                break Some(ImportError::Upstream { what: list.to_string(), reason });
            }
            next = match link {
                Some(link) => link,
                // Some registries cut a page at the number asked for, and name no next one.
                None if is_full && grew => {
                    let mut after = list.clone();
                    let last = last.as_deref().unwrap_or_default();
                    after.query_pairs_mut().append_pair("n", &PAGE.to_string());
                    after.query_pairs_mut().append_pair("last", last);
                    after
                }
                None => break None,
            };
        };
        if let Some(error) = cut {
            let reason = format!("the list continues, but its next page cannot be read: {error}");
            listed.failed.push(Failed::new(list.to_string(), reason).of(error.kind()));
        }
        if listed.tags.is_empty() && listed.failed.is_empty() {
            let reason = "the repository has no tags".into();
            return Err(ImportError::Gone { what: list.to_string(), reason });
        }
        Ok(listed)
    }

    async fn page(&self, url: &Url) -> Result<(Vec<Value>, Option<Url>), ImportError> {
        let got = self.get(url, "application/json", MAX_PAGE).await?;
        let page: Page = serde_json::from_slice(&got.bytes).map_err(|e| {
            let reason = format!("is not a list of tags: {e}");
            ImportError::Upstream { what: shown(url), reason }
        })?;
        Ok((page.tags.unwrap_or_default(), next_page(url, &got.headers)))
    }
}

impl Tags {
    fn take(&mut self, list: &Url, entry: Value) {
        match entry {
            Value::String(tag) if is_tag(&tag) => drop(self.tags.insert(tag)),
            entry => {
                let reason = format!("lists {entry}, which is not a tag");
                self.failed.push(Failed::new(list.to_string(), reason));
            }
        }
    }
}

fn circle(url: &Url) -> ImportError {
    let reason = "its pages lead back to one that was read".into();
    ImportError::Upstream { what: shown(url), reason }
}
