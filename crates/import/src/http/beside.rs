//! The checksum and signature files that an upstream publishes beside a file.
//!
//! They are optional, so a missing file is not a failure. Servers also answer 200 for files that
//! they do not have: a response that does not look like its kind is dropped and noted, and a web
//! page is dropped. The content decides, because servers send checksum files as `text/html`, too.
//! A checksum file of no known form is kept and named, unless the server gives the same bytes for
//! several names.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use perennial_manifest::Role;
use perennial_oci::Digest;
use reqwest::Url;

use super::kind::Kind;
use super::sums::{Sum, Sums, is_attempt, is_list_for};
use crate::ImportError;
use crate::download::{Downloader, Fetched, Want};
use crate::html::is_html;
use crate::meter::blocking;

/// Longest signature file, in bytes.
const MOST: u64 = 4 << 20;
/// Longest checksum file, in bytes: some 100,000 entries.
const MOST_SUMS: u64 = 16 << 20;
/// The number of names for which the same answer is no file, but what the server always says.
const ALWAYS: usize = 3;
/// The beginning of a file packed with gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];
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
    /// Checksum files that cannot be used at all, with the reason.
    pub(super) useless: Vec<(Url, String)>,
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
    let mut seen = Vec::new();
    for (outcome, url, kind) in futures::future::join_all(tries).await {
        match outcome {
            Ok(Seen::Like(file)) => found.files.push(*file),
            Ok(Seen::Page { is_list: true }) => {
                let reason = "the server sends a web page with digests in place of a checksum file";
                found.useless.push((url, reason.to_owned()));
            }
            Ok(Seen::Page { is_list: false }) | Err(ImportError::Gone { .. }) => {}
            Ok(Seen::Odd { file, content }) => seen.push((url, kind, content, Ok(file))),
            Err(ImportError::Unfit { reason, .. }) => {
                let content = Digest::sha256_of(reason.as_bytes());
                seen.push((url, kind, content, Err(reason)));
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) => found.failed.push((url, error)),
        }
    }
    let contents: Vec<_> = seen.iter().map(|(_, _, content, _)| *content).collect();
    for (url, kind, content, odd) in seen {
        let is_said_always = contents.iter().filter(|other| **other == content).count() >= ALWAYS;
        match odd {
            Ok(Some(mut file)) if is_said_always => {
                if let Some(fetched) = file.fetched.take() {
                    blocking(|| fetched.part.remove()).await?;
                }
                found.unlike.push((url, kind));
            }
            Ok(Some(file)) => found.files.push(*file),
            Err(reason) if kind == Kind::Sums && !is_said_always => {
                found.useless.push((url, reason));
            }
            Ok(None) | Err(_) => found.unlike.push((url, kind)),
        }
    }
    Ok(found)
}

/// A response to the request for a file beside another.
enum Seen {
    Like(Box<Beside>),
    /// Not what its name says; a checksum file is kept if it may be one in an unknown form.
    Odd {
        file: Option<Box<Beside>>,
        content: Digest,
    },
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
        let bytes = if kind == Kind::Sums { unpacked(bytes) } else { bytes };
        Ok((part, bytes))
    })
    .await?;
    if is_html(&bytes) {
        blocking(|| part.remove()).await?;
        return Ok(Seen::Page { is_list: kind == Kind::Sums && is_list_for(&bytes, names) });
    }
    let is_like = kind.is_like(&bytes);
    let content = Digest::sha256_of(&bytes);
    let is_attempt = kind == Kind::Sums && is_attempt(&bytes, names);
    if !is_like && !is_attempt {
        blocking(|| part.remove()).await?;
        return Ok(Seen::Odd { file: None, content });
    }
    let (role, sums) = match kind {
        Kind::Sums => (Role::Checksums, Sums::parse(&bytes)),
        _ => (Role::Signature, Sums::default()),
    };
    let fetched = Some(Fetched { part, answer });
    let file = Box::new(Beside { url: url.clone(), name, role, sums, fetched });
    Ok(if is_like { Seen::Like(file) } else { Seen::Odd { file: Some(file), content } })
}

/// The text of a checksum file that was packed with gzip; any other bytes as they are.
fn unpacked(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(GZIP) {
        return bytes;
    }
    let mut text = Vec::new();
    let read = MultiGzDecoder::new(&bytes[..]).take(MOST_SUMS).read_to_end(&mut text);
    if read.is_ok() { text } else { bytes }
}
