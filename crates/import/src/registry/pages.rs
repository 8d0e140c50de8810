//! Lists that a registry gives page by page: tags, and what refers to a manifest.

use std::collections::BTreeSet;

use oci_spec::image::Digest;
use reqwest::header::{HeaderMap, LINK};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::repository::{Repository, refusal};
use crate::ImportError;
use crate::image::{Attached, INDEX, Manifest, cosign_tags, fallback_tag};

const MAX_PAGES: usize = 1_000;
const MAX_TAGS: usize = 100_000;
const MAX_REFERRERS: usize = 2_000;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags.
    pub(super) async fn tags(&self) -> Result<Vec<String>, ImportError> {
        let mut next = Some(self.url("tags/list?n=1000")?);
        let mut tags = BTreeSet::new();
        let mut pages = 0;
        while let Some(url) = next {
            let got = self.get(&url, "application/json").await?;
            next = self.next_page(&url, &got.headers);
            let refuse = |reason: String| ImportError::Upstream { what: url.to_string(), reason };
            let page: Tags = serde_json::from_slice(&got.bytes)
                .map_err(|e| refuse(format!("is no list of tags: {e}")))?;
            let known = tags.len();
            tags.extend(page.tags.unwrap_or_default());
            pages += 1;
            if tags.len() > MAX_TAGS || pages > MAX_PAGES {
                return Err(refuse(format!(
                    "has more than {MAX_TAGS} tags, or {MAX_PAGES} pages of them"
                )));
            }
            if tags.len() == known {
                // a page that says nothing new and names another would go on for ever
                break;
            }
        }
        if tags.is_empty() {
            let what = self.url("tags/list")?.to_string();
            return Err(ImportError::Gone { what, reason: "the repository has no tags".into() });
        }
        Ok(tags.into_iter().collect())
    }

    /// What refers to a manifest, by the referrers API or else by its tag, and by the tags of cosign.
    pub(super) async fn attached(&self, digest: &Digest) -> Result<Vec<Attached>, ImportError> {
        let by_api = if self.has_referrers() { self.referrers(digest).await? } else { None };
        let mut found = match by_api {
            Some(found) => found,
            None => {
                self.note_no_referrers();
                self.referrers_tag(digest).await?
            }
        };
        for tag in cosign_tags(digest) {
            if let Some(named) = self.tag(&tag).await? {
                found.push(Attached { digest: named.digest, tag: Some(tag) });
            }
        }
        Ok(found)
    }

    /// `None` where there is no such API.
    async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Attached>>, ImportError> {
        let mut next = Some(self.url(&format!("referrers/{digest}"))?);
        let mut found = Vec::new();
        let mut pages = 0;
        while let Some(url) = next {
            let got = self.ask(&url, INDEX).await?;
            // that there is no such thing is said in many ways; that it is busy is another matter
            if pages == 0
                && got.status.is_client_error()
                && got.status != StatusCode::TOO_MANY_REQUESTS
            {
                return Ok(None);
            }
            if !got.status.is_success() {
                return Err(refusal(&url, got.status, &got.headers, &got.bytes));
            }
            next = self.next_page(&url, &got.headers);
            // some registries answer every path with a page for people
            let Ok(page) = Manifest::parse(url.as_str(), &got.bytes) else {
                if pages == 0 {
                    return Ok(None);
                }
                let reason = "is no index of referrers".to_owned();
                return Err(ImportError::Upstream { what: url.to_string(), reason });
            };
            let known = found.len();
            found.extend(
                page.manifests.iter().map(|m| Attached { digest: m.digest().clone(), tag: None }),
            );
            pages += 1;
            if found.len() > MAX_REFERRERS {
                let reason = format!("has more than {MAX_REFERRERS} referrers");
                return Err(ImportError::Upstream { what: digest.to_string(), reason });
            }
            if found.len() == known {
                break;
            }
        }
        Ok(Some(found))
    }

    async fn referrers_tag(&self, digest: &Digest) -> Result<Vec<Attached>, ImportError> {
        let url = self.url(&format!("manifests/{}", fallback_tag(digest)))?;
        let got = match self.get(&url, INDEX).await {
            Err(ImportError::Gone { .. }) => return Ok(Vec::new()),
            got => got?,
        };
        let index = Manifest::parse(url.as_str(), &got.bytes)?;
        Ok(index
            .manifests
            .iter()
            .take(MAX_REFERRERS)
            .map(|m| Attached { digest: m.digest().clone(), tag: None })
            .collect())
    }

    /// The next page, if there is one at the same registry.
    fn next_page(&self, url: &Url, headers: &HeaderMap) -> Option<Url> {
        headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|link| {
            let (target, params) = link.trim().strip_prefix('<')?.split_once('>')?;
            let next = params.split(';').any(|param| {
                let param = param.trim().to_ascii_lowercase();
                param == "rel=next" || param == "rel=\"next\""
            });
            url.join(target).ok().filter(|target| next && self.is_ours(target))
        })
    }
}
