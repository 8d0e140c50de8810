//! The checksum and signature files that an upstream publishes beside a file.
//!
//! They are optional, so a missing file is not a failure. Servers also answer 200 for files that
//! they do not have: a response that does not look like its kind is dropped and noted, and a web
//! page is dropped. The content decides, because servers send checksum files as `text/html`, too.

use perennial_manifest::Role;
use reqwest::Url;

use super::kind::Kind;
use super::sums::{Sum, Sums, is_list_for};
use crate::ImportError;
use crate::download::{Downloader, Fetched, Want};
use crate::html::is_html;
use crate::meter::blocking;

/// Longest signature file, in bytes.
const MOST: u64 = 4 << 20;
/// Longest checksum file, in bytes: some 100,000 entries.
const MOST_SUMS: u64 = 16 << 20;
/// Suffixes appended to a file's URL to find the files beside it.
const ENDINGS: [(&str, Kind); 8] = [
    (".sha256", Kind::Sums),
    (".sha512", Kind::Sums),
    (".sha256sum", Kind::Sums),
    (".sha512sum", Kind::Sums),
    (".asc", Kind::Signature),
    (".sig", Kind::Signature),
    (".minisig", Kind::Minisign),
    (".sigstore.json", Kind::Bundle),
];
/// Names of files that hold the checksums of a whole folder.
const OF_FOLDER: [&str; 6] = [
    "SHA256SUMS",
    "SHA512SUMS",
    "SHA256SUMS.txt",
    "sha256sum.txt",
    "SHASUMS256.txt",
    "checksums.txt",
];

/// A checksum or signature file that was found.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) url: Url,
    /// The suffix added to the main file's name, or the whole name of a folder's checksum file.
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) sums: Sums,
    /// The download; `None` once it is part of the release, and for a page, which is never part.
    pub(super) fetched: Option<Fetched>,
}

impl Beside {
    /// The digests that it states under any of a file's names.
    pub(super) fn of_any(&self, names: &[String]) -> Vec<Sum> {
        names.iter().flat_map(|name| self.sums.of(name)).collect()
    }
}

/// The outcome of a search: files found, failures, and rejected responses.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<Beside>,
    pub(super) failed: Vec<(Url, ImportError)>,
    /// Web pages that state digests and name a file.
    pub(super) pages: Vec<Url>,
    /// Responses that do not look like their expected kind.
    pub(super) unlike: Vec<(Url, Kind)>,
}

/// Fetches the files named after a URL's file, which has one of `names`. A checksum or signature
/// file has none of its own.
pub(super) async fn of_file(
    downloader: &Downloader<'_>,
    url: &Url,
    names: &[String],
) -> Result<Found, ImportError> {
    let path = url.path();
    if path.ends_with('/') || ENDINGS.iter().any(|(ending, _)| path.ends_with(ending)) {
        return Ok(Found::default());
    }
    let wanted =
        ENDINGS.map(|(ending, kind)| (with_path(url, &format!("{path}{ending}")), ending, kind));
    look(downloader, wanted.into(), names).await
}

/// Fetches the checksum files of a folder.
pub(super) async fn of_folder(
    downloader: &Downloader<'_>,
    folder: &Url,
) -> Result<Found, ImportError> {
    let path = folder.path();
    let wanted =
        OF_FOLDER.map(|name| (with_path(folder, &format!("{path}{name}")), name, Kind::Sums));
    look(downloader, wanted.into(), &[]).await
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
    names: &[String],
) -> Result<Found, ImportError> {
    let tries = wanted.into_iter().map(|(url, name, kind)| async move {
        (try_one(downloader, &url, name, kind, names).await, url, kind)
    });
    let mut found = Found::default();
    for (outcome, url, kind) in futures::future::join_all(tries).await {
        match outcome {
            Ok(Seen::Like(file)) => found.files.push(*file),
            Ok(Seen::Unlike) => found.unlike.push((url, kind)),
            Ok(Seen::Page { is_list: true }) => found.pages.push(url),
            Ok(Seen::Page { is_list: false }) | Err(ImportError::Gone { .. }) => {}
            // Longer than any file of its kind.
            Err(ImportError::Mismatch { .. }) => found.unlike.push((url, kind)),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => found.failed.push((url, error)),
        }
    }
    Ok(found)
}

/// A response to the request for a file beside another.
enum Seen {
    Like(Box<Beside>),
    Unlike,
    /// A web page, which servers send for files that they do not have.
    Page {
        /// Whether it states digests and names the file.
        is_list: bool,
    },
}

async fn try_one(
    downloader: &Downloader<'_>,
    url: &Url,
    name: &'static str,
    kind: Kind,
    names: &[String],
) -> Result<Seen, ImportError> {
    let most = if kind == Kind::Sums { MOST_SUMS } else { MOST };
    let want = Want { url, most, html: true, optional: true };
    let Fetched { part, answer } = downloader.fetch(want).await?;
    let (part, bytes) = blocking(move || {
        let bytes = part.read()?;
        Ok((part, bytes))
    })
    .await?;
    let is_page = is_html(&bytes);
    if is_page || !kind.is_like(&bytes) {
        blocking(|| part.remove()).await?;
        let is_list = kind == Kind::Sums && is_list_for(&bytes, names);
        return Ok(if is_page { Seen::Page { is_list } } else { Seen::Unlike });
    }
    let (role, sums) = match kind {
        Kind::Sums => (Role::Checksums, Sums::parse(&bytes)),
        _ => (Role::Signature, Sums::default()),
    };
    let fetched = Some(Fetched { part, answer });
    Ok(Seen::Like(Box::new(Beside { url: url.clone(), name, role, sums, fetched })))
}
