//! The tags of a repository, page by page.
//!
//! Promises that no page is lost in silence: a next page that is named and cannot be read is asked
//! for by `?last=`, and if that fails as well, the list says where it was cut.

use std::collections::BTreeSet;

use perennial_oci::is_tag;
use reqwest::Url;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::link::{Next, next_page};
use super::repository::Repository;
use crate::error::shown;
use crate::{Failed, ImportError};

const MAX_PAGES: usize = 1_000;
const MAX_TAGS: usize = 100_000;
/// Longest page, in bytes: some registries list all tags at once, of at most 128 bytes each.
const MAX_PAGE: u64 = 16 << 20;
/// Entries that are not tags, named at most, and characters of each.
const MAX_ODD: usize = 1_000;
const MAX_SHOWN: usize = 100;
/// The number of tags asked for at once.
const PAGE: usize = 1_000;

/// The tags that a registry lists.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) tags: BTreeSet<String>,
    /// Entries that are not tags, and the reason that the list ends early.
    pub(super) failed: Vec<Failed>,
}

/// The number of pages in a row that may bring nothing new, before a list counts as one that leads
/// in a circle: registries that filter their pages send some empty ones.
const MAX_IDLE: usize = 50;

/// A page as registries write it: one without tags has `null`, or names the repository alone.
#[derive(Deserialize)]
struct Page {
    name: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    tags: Option<Option<Vec<Value>>>,
}

/// A field that is there, perhaps as `null`.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Vec<Value>>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
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
        // Whether the next page is asked for by `?last=`, because its link leads nowhere.
        let mut is_guess = false;
        let mut idle = 0;
        let cut = loop {
            let is_new = asked.insert(next.clone());
            let page = if is_new { self.page(&next).await } else { Err(circle(&next)) };
            let (page, link, mut by_last) = match (page, &last) {
                (Ok((page, link)), _) => (page, link, false),
                (Err(error), None) => return Err(error),
                (Err(error), Some(last)) => {
                    let after = after(&list, last);
                    let is_new = asked.insert(after.clone());
                    match if is_new { self.page(&after).await } else { Err(circle(&after)) } {
                        Ok((page, link)) => (page, link, true),
                        Err(_) => break Some(error),
                    }
                }
            };
            by_last |= std::mem::take(&mut is_guess);
            let (known, is_empty) = (listed.tags.len(), page.is_empty());
            let is_full = page.len() >= PAGE;
            for entry in page {
                last = entry.as_str().map(str::to_owned).or(last);
                listed.take(&list, entry);
            }
            let grew = listed.tags.len() > known;
            idle = if grew { 0 } else { idle + 1 };
            if by_last && !grew {
                break (!goes_on || !is_empty).then(|| circle(&next));
            }
            goes_on |= by_last;
            if listed.tags.len() > MAX_TAGS || asked.len() > MAX_PAGES {
                let reason = format!("has more than {MAX_TAGS} tags, or {MAX_PAGES} pages of them");
                break Some(ImportError::Upstream { what: list.to_string(), reason });
            }
            let by_last_tag = || last.as_deref().map(|last| after(&list, last));
            next = match link {
                Next::At(link) if idle < MAX_IDLE => link,
                // Some registries cut a page at the number asked for, and name no next one.
                Next::Nothing if is_full && grew => by_last_tag().unwrap_or(next),
                Next::Nothing => break None,
                Next::At(_) | Next::Unreadable(_) => {
                    is_guess = true;
                    match by_last_tag() {
                        Some(next) => next,
                        None => break Some(useless(&list, link)),
                    }
                }
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

    async fn page(&self, url: &Url) -> Result<(Vec<Value>, Next), ImportError> {
        let got = self.get(url, "application/json", MAX_PAGE).await?;
        let refuse = |why: &str| {
            let reason = format!("is not a list of tags: {why}");
            ImportError::Upstream { what: shown(url), reason }
        };
        let page: Page =
            serde_json::from_slice(&got.bytes).map_err(|error| refuse(&error.to_string()))?;
        // Errors also come with a status of 200.
        if page.tags.is_none() && page.name.is_none() {
            return Err(refuse("it has neither `tags` nor `name`"));
        }
        Ok((page.tags.flatten().unwrap_or_default(), next_page(url, &got.headers)))
    }
}

impl Tags {
    fn take(&mut self, list: &Url, entry: Value) {
        match entry {
            Value::String(tag) if is_tag(&tag) => drop(self.tags.insert(tag)),
            entry => {
                let reason = match self.failed.len() {
                    ..MAX_ODD => {
                        let entry: String = entry.to_string().chars().take(MAX_SHOWN).collect();
                        format!("lists {entry}, which is not a tag")
                    }
                    MAX_ODD => "lists more entries that are not tags".to_owned(),
                    _ => return,
                };
                self.failed.push(Failed::new(list.to_string(), reason));
            }
        }
    }
}

/// The page that begins after a tag.
fn after(list: &Url, last: &str) -> Url {
    let mut after = list.clone();
    after.query_pairs_mut().append_pair("n", &PAGE.to_string()).append_pair("last", last);
    after
}

/// The error for a link that cannot be followed, where no tag says how to go on.
fn useless(list: &Url, link: Next) -> ImportError {
    let reason = match link {
        Next::Unreadable(link) => format!("its next page is at {link:?}, which is no address"),
        _ => format!("{MAX_IDLE} pages in a row have no tags"),
    };
    ImportError::Upstream { what: shown(list), reason }
}

fn circle(url: &Url) -> ImportError {
    let reason = "its pages lead back to one that was read".into();
    ImportError::Upstream { what: shown(url), reason }
}
