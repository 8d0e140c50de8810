//! The checksum and signature files that an upstream publishes beside a file.
//!
//! They are optional, so a missing file is not a failure. Servers also answer 200 for files that
//! they do not have: a response that does not look like its kind is dropped and noted, and a web
//! page is dropped. The content decides, because servers send checksum files as `text/html`, too.
//! A checksum file of no known form is kept and named, unless the server gives the same bytes for
//! several names.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use perennial_manifest::{Origin, Role};
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
/// A checksum or signature file that was found.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) url: Url,
    /// The suffix added to the main file's name, or the whole name of a folder's checksum file.
    pub(super) name: String,
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
    let wanted = ENDINGS.map(|(ending, kind)| {
        let url = with_path(url, &format!("{path}{ending}"));
        Wanted { url, name: ending.to_owned(), kind }
    });
    look(downloader, wanted.into(), names).await
}

/// Fetches checksum files of these names from the folder that contains a file.
pub(super) async fn of_folder(
    downloader: &Downloader<'_>,
    file: &Url,
    lists: impl IntoIterator<Item = String>,
) -> Result<Found, ImportError> {
    let path = folder(file).path().to_owned();
    let wanted = lists.into_iter().map(|name| {
        let url = with_path(file, &format!("{path}{name}"));
        Wanted { url, name, kind: Kind::Sums }
    });
    look(downloader, wanted.collect(), &[]).await
}

/// A checksum file that is imported for its own sake, as one for the other files of its folder;
/// `None` if it states no digests.
pub(super) async fn itself(
    url: &Url,
    fetched: Fetched,
) -> Result<(Fetched, Option<Beside>), ImportError> {
    if fetched.part.len() > MOST_SUMS {
        return Ok((fetched, None));
    }
    let (fetched, sums) = blocking(move || {
        let sums = Sums::parse(&unpacked(fetched.part.read()?));
        Ok((fetched, sums))
    })
    .await?;
    let (url, name, role) = (url.clone(), String::new(), Role::Checksums);
    let is_list = sums.has_digests();
    Ok((fetched, is_list.then_some(Beside { url, name, role, sums, fetched: None })))
}

/// The URL of the folder that contains a file, without query and fragment.
pub(super) fn folder(url: &Url) -> Url {
    let path = url.path();
    let mut folder = with_path(url, &path[..path.rfind('/').map_or(0, |at| at + 1)]);
    folder.set_query(None);
    folder
}

/// A URL with another path. A query that opens a door, such as a token, opens that of the files
/// beside as well; any other one names the file that it belongs to.
pub(super) fn with_path(url: &Url, path: &str) -> Url {
    let mut bare = url.clone();
    // Both fail only for URLs that cannot have credentials.
    let _ = (bare.set_username(""), bare.set_password(None));
    let is_key = !Origin::shown(bare.as_str()).is_whole();
    let mut url = url.clone();
    url.set_path(path);
    url.set_fragment(None);
    if !is_key {
        url.set_query(None);
    }
    url
}

/// A file to look for.
struct Wanted {
    url: Url,
    name: String,
    kind: Kind,
}

async fn look(
    downloader: &Downloader<'_>,
    wanted: Vec<Wanted>,
    names: &[String],
) -> Result<Found, ImportError> {
    let tries = wanted.into_iter().map(|Wanted { mut url, name, kind }| async move {
        let mut seen = try_one(downloader, &url, &name, kind, names).await;
        // A signature of the whole URL fits no other file, which may be open to all.
        if matches!(seen, Err(ImportError::Gone { .. })) && url.query().is_some() {
            url.set_query(None);
            seen = try_one(downloader, &url, &name, kind, names).await;
        }
        (seen, url, kind)
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
    name: &str,
    kind: Kind,
    names: &[String],
) -> Result<Seen, ImportError> {
    let most = if kind == Kind::Sums { MOST_SUMS } else { MOST };
    let want = Want { optional: true, ..Want::of(url, most, true) };
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
    let file = Box::new(Beside { url: url.clone(), name: name.to_owned(), role, sums, fetched });
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
