//! One release: its file list, single files, checksums and signed statement.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use axum::response::Response;
use perennial_control::ArtifactRow;
use perennial_manifest::{Artifact, ArtifactList, PublisherId, Selector};
use perennial_store::{ReleaseRow, StoreError};
use serde::Serialize;

use super::resolve::row_of;
use super::target::Target;
use super::{Files, attachment, cache_control};
use crate::blocking::blocking;
use crate::content::Content;
use crate::document::Document;
use crate::http_error::HttpError;
use crate::rows::{PublicRow, ReleaseRows, artifact_row};

/// The checksums file, computed from a release's list unless the release contains a file of that
/// name.
const SUMS: &str = "SHA256SUMS";
/// The signed statement, unless the release contains a file of that name.
const STATEMENT: &str = "release.cbor";
/// The media type of a signed statement (`manifest/FORMAT.md`, "Entry").
const STATEMENT_TYPE: &str = "application/vnd.perennial.entry.v1+cbor";

/// Approximate bytes per file in the JSON of a release.
const ROW: usize = 600;
/// Bytes per line of `SHA256SUMS`, excluding the path.
const SUM: usize = 67;

impl Files {
    pub(super) async fn release(
        &self,
        target: Target,
        only: Option<PublisherId>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, HttpError> {
        let cache = cache_control(matches!(target.selector, Selector::Release(_)));
        let row = row_of(&self.gateway, target.selector, only).await?;
        let owner = self.is_owner(request);
        let list = self.gateway.list(&row, owner).await;
        let Some(path) = target.path else {
            let listing = self.listing(&row, list?).await?;
            // Not immutable: which files are held changes.
            let (name, value) = cache_control(false);
            return Ok(listing.with(name, value).answer(method, request));
        };
        let document = match (list, path.as_str()) {
            (Ok(list), name) => match list.iter().find(|artifact| artifact.path == path) {
                Some(artifact) => {
                    self.gateway.backend.store().refuse_artifact(artifact)?;
                    let mut content = content(&row, artifact);
                    content.headers.push(cache);
                    return self.gateway.answer(method, request, &content, owner).await;
                }
                None if name == SUMS => self.sums(list).await?,
                None if name == STATEMENT => self.statement(&row).await?,
                None => {
                    let file = format!("file {name:?} of {} ({})", row.purl, row.release);
                    return Err(HttpError::unknown(&file));
                }
            },
            // The statement can be held without the list.
            (Err(_), STATEMENT) => self.statement(&row).await?,
            (Err(error), _) => return Err(error),
        };
        let (disposition, file) = attachment(path.as_str());
        Ok(document.with(disposition, file).with(cache.0, cache.1).answer(method, request))
    }

    async fn listing(
        &self,
        row: &ReleaseRow,
        list: Arc<ArtifactList>,
    ) -> Result<Document, HttpError> {
        let (store, row) = (self.gateway.backend.store().clone(), row.clone());
        let reservation = self.quota.reserve(list.len().saturating_mul(ROW)).await?;
        let text = blocking(move || {
            let files = list.iter().map(|artifact| artifact_row(&store, artifact));
            let files = files.collect::<Result<Vec<ArtifactRow>, StoreError>>()?;
            let listing = Listing { row: ReleaseRows::new(&store).public(&row)?, files };
            Ok::<_, HttpError>(reservation.filled(serde_json::to_vec_pretty(&listing)?))
        });
        Ok(Document::new("application/json", text.await?))
    }

    async fn sums(&self, list: Arc<ArtifactList>) -> Result<Document, HttpError> {
        let lines = list.iter().map(|artifact| artifact.path.as_str().len() + SUM).sum();
        let reservation = self.quota.reserve(lines).await?;
        let text =
            blocking(move || Ok::<_, HttpError>(reservation.filled(sums(&list).into_bytes())));
        Ok(Document::new("text/plain; charset=utf-8", text.await?))
    }

    async fn statement(&self, row: &ReleaseRow) -> Result<Document, HttpError> {
        let (store, id) = (self.gateway.backend.store().clone(), row.release.entry());
        let signed = blocking(move || Ok::<_, HttpError>(store.entry(&id)?)).await?;
        let signed =
            signed.ok_or_else(|| HttpError::unknown(&format!("statement of {}", row.purl)))?;
        Ok(Document::new(STATEMENT_TYPE, signed.encode()))
    }
}

/// A file of a release, as servable content.
fn content(row: &ReleaseRow, artifact: &Artifact) -> Content {
    Content {
        blob: artifact.blake3,
        size: artifact.size,
        media_type: artifact.media_type.clone(),
        digest: artifact.blake3.to_string(),
        release: Some(row.release),
        headers: vec![attachment(artifact.path.file_name())],
    }
}

/// Builds the input of `sha256sum -c`. Paths contain neither backslashes nor line breaks, so no
/// line needs escaping. Links and directories have no checksum that `sha256sum` could compare.
fn sums(list: &ArtifactList) -> String {
    let mut text = String::new();
    let files = |artifact: &&Artifact| !artifact.is_link() && !artifact.is_directory();
    for artifact in list.iter().filter(files) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}  {}", artifact.sha256.to_hex(), artifact.path);
    }
    text
}

/// A release and its files, as `cli/JSON.md` describes them.
#[derive(Serialize)]
struct Listing {
    #[serde(flatten)]
    row: PublicRow,
    files: Vec<ArtifactRow>,
}
