//! Lists that a registry returns page by page: tags, and the referrers of a manifest.

use std::collections::BTreeSet;

use perennial_oci::{Digest, Manifest, ManifestError, OCI_INDEX, cosign_tags, referrers_tag};
use reqwest::header::{HeaderMap, LINK};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::answer::refusal;
use super::repository::Repository;
use crate::ImportError;
use crate::image::Attached;

const MAX_PAGES: usize = 1_000;
const MAX_TAGS: usize = 100_000;
const MAX_REFERRERS: usize = 2_000;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags of the repository.
    pub(super) async fn tags(&self) -> Result<Vec<String>, ImportError> {
        let mut next = Some(self.url("tags/list?n=1000")?);
        let mut tags = BTreeSet::new();
        let mut pages = 0;
        while let Some(url) = next {
            let got = self.get(&url, "application/json").await?;
            next = self.next_page(&url, &got.headers);
            let refuse = |reason: String| ImportError::Upstream { what: url.to_string(), reason };
            let page: Tags = serde_json::from_slice(&got.bytes)
                .map_err(|e| refuse(format!("is not a list of tags: {e}")))?;
            let known = tags.len();
            tags.extend(page.tags.unwrap_or_default());
            pages += 1;
            if tags.len() > MAX_TAGS || pages > MAX_PAGES {
                return Err(refuse(format!(
                    "has more than {MAX_TAGS} tags, or {MAX_PAGES} pages of them"
                )));
            }
            if tags.len() == known {
                // Pages that add nothing but link to a next page would never end.
                break;
            }
        }
        if tags.is_empty() {
            let what = self.url("tags/list")?.to_string();
            return Err(ImportError::Gone { what, reason: "the repository has no tags".into() });
        }
        Ok(tags.into_iter().collect())
    }

    /// The referrers of a manifest, by the API or else by its tag, and those under cosign's tags.
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

    /// The referrers by the API; `None` if the registry does not have it.
    async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Attached>>, ImportError> {
        let mut next = Some(self.url(&format!("referrers/{digest}"))?);
        let mut found = Vec::new();
        let mut pages = 0;
        while let Some(url) = next {
            let got = self.ask(&url, OCI_INDEX).await?;
            // Registries report a missing API in many ways; being busy is not one of them.
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
            let page = match Manifest::parse(&got.bytes) {
                Ok(page) => page,
                // Some registries answer every path with an HTML page.
                Err(ManifestError::Json(_) | ManifestError::Neither) if pages == 0 => {
                    return Ok(None);
                }
                Err(error) => return Err(ImportError::manifest(url, error)),
            };
            let known = found.len();
            found.extend(
                page.children().iter().map(|child| Attached { digest: child.digest, tag: None }),
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
        let url = self.url(&format!("manifests/{}", referrers_tag(digest)))?;
        let got = match self.get(&url, OCI_INDEX).await {
            Err(ImportError::Gone { .. }) => return Ok(Vec::new()),
            got => got?,
        };
        let index =
            Manifest::parse(&got.bytes).map_err(|error| ImportError::manifest(url, error))?;
        Ok(index
            .children()
            .iter()
            .take(MAX_REFERRERS)
            .map(|child| Attached { digest: child.digest, tag: None })
            .collect())
    }

    /// The URL of the next page, if it is on the same registry.
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
