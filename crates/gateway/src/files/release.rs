//! One release: the list of its files, one of them, its checksums, its signed statement.

use std::fmt::Write as _;

use axum::http::{HeaderMap, Method};
use axum::response::Response;
use perennial_manifest::{Artifact, ArtifactList, PublisherId, Selector};
use perennial_store::ReleaseRow;
use serde::Serialize;

use super::target::Target;
use super::{Files, attachment, cache_control, row_of};
use crate::content::{Content, run};
use crate::document::Document;
use crate::feed::Row;
use crate::problem::Problem;

/// The file that is made of a release's list, unless the release has one of that name.
const SUMS: &str = "SHA256SUMS";
/// The file that is the signed statement, unless the release has one of that name.
const STATEMENT: &str = "release.cbor";
/// What a signed statement is (`manifest/FORMAT.md`, "Entry").
const STATEMENT_TYPE: &str = "application/vnd.perennial.entry.v1+cbor";

impl Files {
    pub(super) async fn release(
        &self,
        target: Target,
        only: Option<PublisherId>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let immutable = matches!(target.selector, Selector::Release(_));
        let (name, value) = cache_control(immutable);
        let row = row_of(&self.faces, target.selector, only).await?;
        let owner = self.is_owner(request);
        let is_statement = target.path.as_ref().is_some_and(|path| path.as_str() == STATEMENT);
        let list = match self.faces.list(&row, owner).await {
            Ok(list) => Some(list),
            // the statement is here without its list
            Err(_) if is_statement => None,
            Err(problem) => return Err(problem),
        };
        let Some(path) = target.path else {
            let listing = self.listing(&row, list.as_deref()).await?;
            // how much is here changes
            return Ok(listing.with(axum::http::header::CACHE_CONTROL, "no-cache").answer(method, request));
        };
        let listed = list.iter().flat_map(|list| list.iter()).find(|artifact| artifact.path == path);
        let document = match (listed, path.as_str()) {
            (Some(artifact), _) => {
                let mut content = content(&row, artifact);
                content.headers.push((name, value));
                return self.faces.answer(method, request, &content, owner).await;
            }
            (None, SUMS) => Document::new("text/plain; charset=utf-8", sums(list.as_deref())),
            (None, STATEMENT) => self.statement(&row).await?,
            (None, path) => {
                return Err(Problem::unknown(&format!("file {path:?} of {} ({})", row.purl, row.release)));
            }
        };
        let (disposition, file) = attachment(path.as_str());
        Ok(document.with(disposition, file).with(name, value).answer(method, request))
    }

    async fn listing(&self, row: &ReleaseRow, list: Option<&ArtifactList>) -> Result<Document, Problem> {
        let (store, asked) = (self.faces.backend.store().clone(), row.clone());
        let shown = run(move || Row::new(&store, &asked)).await.map_err(|e| Problem::internal(&e))?;
        let files: Vec<File<'_>> = list.iter().flat_map(|list| list.iter()).map(File::new).collect();
        let listing = Listing { row: shown, files };
        let text = serde_json::to_vec_pretty(&listing).map_err(|e| Problem::internal(&e))?;
        Ok(Document::new("application/json", text))
    }

    async fn statement(&self, row: &ReleaseRow) -> Result<Document, Problem> {
        let (store, id) = (self.faces.backend.store().clone(), row.release.entry());
        let signed = run(move || store.entry(&id)).await.map_err(|e| Problem::internal(&e))?;
        let signed = signed.ok_or_else(|| Problem::unknown(&format!("statement of {}", row.purl)))?;
        Ok(Document::new(STATEMENT_TYPE, signed.encode()))
    }
}

/// A file of a release, as it is given out.
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

/// What `sha256sum -c` reads. Paths hold neither backslashes nor line ends, so none needs an escape.
fn sums(list: Option<&ArtifactList>) -> String {
    let mut text = String::new();
    for artifact in list.iter().flat_map(|list| list.iter()) {
        // a String takes any text
        let _ = writeln!(text, "{}  {}", artifact.sha256.to_hex(), artifact.path);
    }
    text
}

/// A release and its files, with the words of `perennial show --json`.
#[derive(Serialize)]
struct Listing<'a> {
    #[serde(flatten)]
    row: Row,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    size: u64,
    blake3: String,
    sha256: String,
    role: &'static str,
    media_type: &'a str,
    platform: Option<String>,
    exec: bool,
}

impl<'a> File<'a> {
    fn new(artifact: &'a Artifact) -> Self {
        Self {
            path: artifact.path.as_str(),
            size: artifact.size,
            blake3: artifact.blake3.to_string(),
            sha256: artifact.sha256.to_string(),
            role: artifact.role.as_str(),
            media_type: &artifact.media_type,
            platform: artifact.platform.as_ref().map(|platform| {
                let parts = [Some(&platform.os), Some(&platform.arch), platform.variant.as_ref()];
                parts.into_iter().flatten().cloned().collect::<Vec<_>>().join("/")
            }),
            exec: artifact.exec,
        }
    }
}
