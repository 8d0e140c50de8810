//! What lies beside a file upstream: its checksums and signatures.
//!
//! Nobody said that they are there, so none is missed; what answers and is not like what it is named after is taken for a
//! server's way of saying no, and noted.

use std::collections::HashSet;

use perennial_manifest::Role;
use reqwest::Url;

use super::kind::Kind;
use super::sums::{Sum, Sums};
use crate::ImportError;
use crate::download::{Downloader, Fetched, Want};
use crate::meter::blocking;

/// Longest checksum file or signature.
const MOST: u64 = 4 << 20;
/// Endings of files beside a file.
const ENDINGS: [(&str, Kind); 6] = [
    (".sha256", Kind::Sums),
    (".sha512", Kind::Sums),
    (".asc", Kind::Signature),
    (".sig", Kind::Signature),
    (".minisig", Kind::Minisign),
    (".sigstore.json", Kind::Bundle),
];
/// Checksums of all files of a folder.
const OF_FOLDER: [&str; 2] = ["SHA256SUMS", "checksums.txt"];

/// A file that was found beside another.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) url: Url,
    /// Its name, or what its name has in addition to that of the file it belongs to.
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) sums: Sums,
    /// Until it is taken into the release.
    pub(super) fetched: Option<Fetched>,
}

impl Beside {
    /// What it says of a file with several names.
    pub(super) fn of_any(&self, names: &HashSet<String>) -> Vec<Sum> {
        names.iter().flat_map(|name| self.sums.of(name)).collect()
    }
}

/// What was found, and what is perhaps there but could not be had.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<Beside>,
    pub(super) failed: Vec<(Url, ImportError)>,
    /// What answered and was something else than its name says.
    pub(super) unlike: Vec<(Url, Kind)>,
}

/// Files named after a file; those have none of their own.
pub(super) async fn of_file(downloader: &Downloader<'_>, url: &Url) -> Result<Found, ImportError> {
    let path = url.path();
    if path.ends_with('/') || ENDINGS.iter().any(|(ending, _)| path.ends_with(ending)) {
        return Ok(Found::default());
    }
    let wanted =
        ENDINGS.map(|(ending, kind)| (with_path(url, &format!("{path}{ending}")), ending, kind));
    look(downloader, wanted.into()).await
}

/// Checksums of the folder of a URL.
pub(super) async fn of_folder(
    downloader: &Downloader<'_>,
    folder: &Url,
) -> Result<Found, ImportError> {
    let path = folder.path();
    let wanted =
        OF_FOLDER.map(|name| (with_path(folder, &format!("{path}{name}")), name, Kind::Sums));
    look(downloader, wanted.into()).await
}

/// The folder that a URL's file lies in.
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
            // not there, or a page or something endless in its place
            Err(ImportError::Gone { .. } | ImportError::Mismatch { .. }) => {}
            Err(error) if error.is_final() => return Err(error),
            Err(error) => found.failed.push((url, error)),
        }
    }
    Ok(found)
}

/// A file beside another, unless it is something else than its name says.
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
