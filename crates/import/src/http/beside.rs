//! The checksum and signature files that an upstream publishes beside a file.
//!
//! They are optional, so a missing file is not a failure. Servers also answer 200 for files that
//! they do not have: a response that does not look like its kind is dropped and noted.

use std::collections::HashSet;

use perennial_manifest::Role;
use reqwest::Url;

use super::kind::Kind;
use super::sums::{Sum, Sums};
use crate::ImportError;
use crate::download::{Downloader, Fetched, Want};
use crate::meter::blocking;

/// Longest checksum or signature file, in bytes.
const MOST: u64 = 4 << 20;
/// Suffixes appended to a file's URL to find the files beside it.
const ENDINGS: [(&str, Kind); 6] = [
    (".sha256", Kind::Sums),
    (".sha512", Kind::Sums),
    (".asc", Kind::Signature),
    (".sig", Kind::Signature),
    (".minisig", Kind::Minisign),
    (".sigstore.json", Kind::Bundle),
];
/// Names of files that hold the checksums of a whole folder.
const OF_FOLDER: [&str; 2] = ["SHA256SUMS", "checksums.txt"];

/// A checksum or signature file that was found.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) url: Url,
    /// The suffix added to the main file's name, or the whole name of a folder's checksum file.
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) sums: Sums,
    /// The download; `None` once it is part of the release.
    pub(super) fetched: Option<Fetched>,
}

impl Beside {
    /// The digests that it states under any of a file's names.
    pub(super) fn of_any(&self, names: &HashSet<String>) -> Vec<Sum> {
        names.iter().flat_map(|name| self.sums.of(name)).collect()
    }
}

/// The outcome of a search: files found, failures, and rejected responses.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<Beside>,
    pub(super) failed: Vec<(Url, ImportError)>,
    /// Responses that do not look like their expected kind.
    pub(super) unlike: Vec<(Url, Kind)>,
}

/// Fetches the files named after a URL's file. A checksum or signature file has none of its own.
pub(super) async fn of_file(downloader: &Downloader<'_>, url: &Url) -> Result<Found, ImportError> {
    let path = url.path();
    if path.ends_with('/') || ENDINGS.iter().any(|(ending, _)| path.ends_with(ending)) {
        return Ok(Found::default());
    }
    let wanted =
        ENDINGS.map(|(ending, kind)| (with_path(url, &format!("{path}{ending}")), ending, kind));
    look(downloader, wanted.into()).await
}

/// Fetches the checksum files of a folder.
pub(super) async fn of_folder(
    downloader: &Downloader<'_>,
    folder: &Url,
) -> Result<Found, ImportError> {
    let path = folder.path();
    let wanted =
        OF_FOLDER.map(|name| (with_path(folder, &format!("{path}{name}")), name, Kind::Sums));
    look(downloader, wanted.into()).await
}

/// The URL of the folder that contains a file, without query and fragment.
pub(super) fn folder(url: &Url) -> Url {
    let path = url.path();
    with_path(url, &path[..path.rfind('/').map_or(0, |at| at + 1)])
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

async fn look(
    downloader: &Downloader<'_>,
    wanted: Vec<(Url, &'static str, Kind)>,
) -> Result<Found, ImportError> {
    let tries = wanted.into_iter().map(|(url, name, kind)| async move {
        (try_one(downloader, &url, name, kind).await, url, kind)
    });
    let mut found = Found::default();
    for (outcome, url, kind) in futures::future::join_all(tries).await {
        match outcome {
            Ok(Some(file)) => found.files.push(file),
            Ok(None) => found.unlike.push((url, kind)),
            // Missing, or an HTML page or an overlong response in its place.
            Err(ImportError::Gone { .. } | ImportError::Mismatch { .. }) => {}
            Err(error) if error.is_final() => return Err(error),
            Err(error) => found.failed.push((url, error)),
        }
    }
    Ok(found)
}

/// Fetches one candidate; `None` if the response does not look like its kind.
async fn try_one(
    downloader: &Downloader<'_>,
    url: &Url,
    name: &'static str,
    kind: Kind,
) -> Result<Option<Beside>, ImportError> {
    let want = Want { url, most: MOST, html: false, optional: true };
    let Fetched { part, answer } = downloader.fetch(want).await?;
    let (part, bytes) = blocking(move || {
        let bytes = part.read()?;
        Ok((part, bytes))
    })
    .await?;
    if !kind.is_like(&bytes) {
        blocking(|| part.remove()).await?;
        return Ok(None);
    }
    let (role, sums) = match kind {
        Kind::Sums => (Role::Checksums, Sums::parse(&String::from_utf8_lossy(&bytes))),
        _ => (Role::Signature, Sums::default()),
    };
    Ok(Some(Beside { url: url.clone(), name, role, sums, fetched: Some(Fetched { part, answer }) }))
}
