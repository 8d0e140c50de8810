//! The places of a chart, of which an index may name several: the first that has it counts.

use perennial_operation::{ErrorKind, Failed};
use perennial_store::Store;
use reqwest::Url;

use super::index::Place;
use super::{ChartImported, MAX_CHART, listed};
use crate::download::{Downloader, Fetched, Want};
use crate::error::shown;
use crate::http::{self, Sum};
use crate::{ImportError, Options, Watch};

/// A chart that was fetched.
pub(super) enum Had {
    /// From the web.
    Web(Box<(Url, Fetched)>),
    /// From a registry, as a release of its own.
    Registry(ChartImported),
}

/// The terms for fetching a chart, whatever its place.
pub(super) struct Places<'a> {
    pub(super) store: &'a Store,
    pub(super) options: &'a Options,
    pub(super) downloader: &'a Downloader<'a>,
    pub(super) index: &'a Url,
    pub(super) digest: Option<Sum>,
    pub(super) with_images: bool,
    pub(super) watch: &'a dyn Watch,
}

impl Places<'_> {
    /// Fetches a chart from the first place that has it, with the bytes that the index states.
    ///
    /// # Errors
    /// [`ImportError`] if no place has it: the first one that contradicts the index, or else the
    /// first.
    pub(super) async fn fetch(&self, places: Vec<Place>) -> Result<Had, ImportError> {
        let last = places.len().saturating_sub(1);
        let mut failed: Vec<ImportError> = Vec::new();
        for (at, place) in places.into_iter().enumerate() {
            match self.fetch_at(place, at < last).await {
                Ok(Had::Registry(got))
                    if got.imported.drafts.is_empty() && (at < last || !failed.is_empty()) =>
                {
                    failed.extend(got.imported.failed.into_iter().map(error_of));
                }
                Ok(had) => return Ok(had),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => failed.push(error),
            }
        }
        let is_proof = |error: &ImportError| matches!(error, ImportError::Mismatch { .. });
        let first = failed.iter().position(is_proof).unwrap_or(0);
        match failed.len() {
            0 => Err(ImportError::Unfit {
                what: shown(self.index),
                reason: "it names no place of the chart".into(),
            }),
            _ => Err(failed.swap_remove(first)),
        }
    }

    async fn fetch_at(&self, place: Place, spare: bool) -> Result<Had, ImportError> {
        let digest = self.digest.clone();
        match place {
            Place::Web(url) => {
                let want = Want { spare, ..Want::of(&url, MAX_CHART, false) };
                let Fetched { part, answer } = self.downloader.fetch(want).await?;
                let said = digest.into_iter().collect();
                let part = http::compare(part, &url, self.index, said).await?;
                Ok(Had::Web(Box::new((url, Fetched { part, answer }))))
            }
            Place::Registry(reference) => {
                let Self { store, options, with_images, watch, .. } = *self;
                let got =
                    listed::chart(store, options, reference, digest, with_images, watch).await?;
                Ok(Had::Registry(got))
            }
        }
    }
}

/// What a registry that had nothing said, as an error.
fn error_of(Failed { what, reason, kind }: Failed) -> ImportError {
    match kind {
        ErrorKind::Verification => ImportError::Mismatch { what, reason },
        _ => ImportError::Upstream { what, reason },
    }
}
