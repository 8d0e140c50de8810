//! The statements about a manifest: its referrers, and those under cosign's tags.
//!
//! Each way of asking stands by itself: registries refuse what they do not have in many ways, and
//! the failure of one way does not cost what another one finds.

use perennial_oci::{Digest, Manifest, ManifestError, OCI_INDEX, cosign_tags, referrers_tag};
use reqwest::StatusCode;

use super::answer::refusal;
use super::link::next_page;
use super::repository::{Repository, is_absent};
use crate::ImportError;
use crate::error::shown;
use crate::image::Attached;

const MAX_REFERRERS: usize = 2_000;

impl Repository {
    /// The referrers of a manifest, by the API or else by its tag, and those under cosign's tags;
    /// also the ways of asking that failed.
    pub(super) async fn attached(&self, digest: &Digest) -> (Vec<Attached>, Vec<ImportError>) {
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        let by_api = if self.has_referrers() { self.referrers(digest).await } else { Ok(None) };
        let by_api = by_api.unwrap_or_else(|error| {
            failed.push(error);
            None
        });
        match by_api {
            Some(listed) => found.extend(listed),
            None => match self.referrers_tag(digest).await {
                Ok(listed) => found.extend(listed),
                Err(error) => failed.push(error),
            },
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

    /// The referrers by the API; `None` if the registry does not have it.
    async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Attached>>, ImportError> {
        let mut next = Some(self.url(&format!("referrers/{digest}"))?);
        let mut found = Vec::new();
        let mut pages = 0;
        while let Some(url) = next {
            let got = self.probe(&url, OCI_INDEX).await?;
            // Registries report a missing API in many ways; being busy is not one of them.
            if pages == 0 && is_absent(got.status, &got.headers) {
                use StatusCode as Status;
                if matches!(
                    got.status,
                    Status::NOT_FOUND | Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED
                ) {
                    self.note_no_referrers();
                }
                return Ok(None);
            }
            if !got.status.is_success() {
                return Err(refusal(&url, got.status, &got.headers, &got.bytes));
            }
            next = next_page(&url, &got.headers);
            let page = match Manifest::parse(&got.bytes) {
                Ok(page) => page,
                // Some registries answer every path with an HTML page.
                Err(ManifestError::Json(_) | ManifestError::Neither) if pages == 0 => {
                    return Ok(None);
                }
                Err(error) => return Err(ImportError::manifest(shown(&url), error)),
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
        let got = self.probe(&url, OCI_INDEX).await?;
        if is_absent(got.status, &got.headers) {
            return Ok(Vec::new());
        }
        if !got.status.is_success() {
            return Err(refusal(&url, got.status, &got.headers, &got.bytes));
        }
        let index = Manifest::parse(&got.bytes)
            .map_err(|error| ImportError::manifest(shown(&url), error))?;
        Ok(index
            .children()
            .iter()
            .take(MAX_REFERRERS)
            .map(|child| Attached { digest: child.digest, tag: None })
            .collect())
    }
}
