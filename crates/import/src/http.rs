//! Imports web files from their URLs into one release, with the checksums and signatures published
//! beside them.
//!
//! Promises that a file that contradicts a checksum beside it ends the import, that an HTML page is
//! not accepted in place of a file, and that one failed URL does not affect the others.

mod beside;
mod job;
mod kind;
mod list_names;
mod name;
mod sums;

use std::collections::HashSet;

use perennial_manifest::{ArtifactPath, Origin, Purl, Role};
use perennial_store::Store;
use reqwest::Url;

use self::job::Job;
pub(crate) use self::sums::Sum;
use crate::download::{Downloader, Part};
use crate::error::shown;
use crate::meter::{Meter, blocking};
use crate::{ImportError, Imported, Options, Watch};

/// Longest accepted URL, in bytes; it becomes part of the signed release.
const MAX_URL: usize = 2048;

/// A request to import files from the web into one release.
#[derive(Debug, Clone)]
pub struct Urls {
    /// The files to fetch; at least one. Duplicates are fetched once.
    pub urls: Vec<String>,
    /// The package URL of the release; must have a version.
    pub purl: Purl,
    /// SPDX licence expression, if known.
    pub license: Option<String>,
    /// The name of the file, if there is one URL; `None` takes the server's or the URL's.
    pub file_name: Option<ArtifactPath>,
    /// Accept HTML pages even from URLs that do not end in `.html` or `.htm`.
    pub html: bool,
    /// Remarks on the release; the import may append its own.
    pub notes: Option<String>,
    /// Maps a file name to the file's role and media type.
    pub guess: fn(&str) -> (Role, &'static str),
}

/// Imports files from the web into one release.
///
/// # Errors
/// [`ImportError`] if a URL is malformed or the package URL has no version, if the only file cannot
/// be fetched, if a file contradicts a checksum, if the store fails, or if the import is cancelled.
pub async fn urls(
    store: &Store,
    options: &Options,
    what: &Urls,
    watch: &dyn Watch,
) -> Result<Imported, ImportError> {
    let wanted = distinct(&what.urls)?;
    if what.purl.version().is_none() {
        return Err(ImportError::Usage(format!(
            "{} has no version; give pkg:…@VERSION",
            what.purl
        )));
    }
    if let (Some(name), 2..) = (&what.file_name, wanted.len()) {
        let reason = format!("one file is to be called {name}, but there are several URLs");
        return Err(ImportError::Usage(reason));
    }
    let meter = Meter::new(watch);
    let downloader = Downloader::new(options, store.incoming_room(), &meter)?;
    let mut job = Job::new(store, downloader, what, options.keep_query);
    let mut errors = Vec::new();
    for url in &wanted {
        let file = match job.fetch(url).await {
            Ok(file) => file,
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                job.failed(url, &error);
                errors.push(error);
                continue;
            }
        };
        let file = job.check(file).await?;
        job.keep(file).await?;
    }
    job.finish(&wanted[0], errors).await
}

/// Parses the URLs without their fragments, and drops duplicates.
fn distinct(urls: &[String]) -> Result<Vec<Url>, ImportError> {
    let mut seen = HashSet::new();
    let mut wanted = Vec::new();
    for text in urls {
        let mut url = parse(text)?;
        url.set_fragment(None);
        if seen.insert(url.clone()) {
            wanted.push(url);
        }
    }
    if wanted.is_empty() {
        Err(ImportError::Usage("there is no URL to add".into()))
    } else {
        Ok(wanted)
    }
}

/// Parses an HTTP or HTTPS URL of at most `MAX_URL` bytes.
pub(crate) fn parse(text: &str) -> Result<Url, ImportError> {
    let usage = |reason: String| {
        let text = Origin::shown(text).text;
        ImportError::Usage(format!("{text:?} is not a URL to fetch: {reason}"))
    };
    let url = Url::parse(text).map_err(|e| usage(e.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.as_str().len() <= MAX_URL => Ok(url),
        "http" | "https" => Err(usage(format!("it is longer than {MAX_URL} bytes"))),
        other => Err(usage(format!("{other:?} is not http or https"))),
    }
}

/// Verifies a file against the digests that `from` states for it; removes the file if they differ.
pub(crate) async fn compare(
    part: Part,
    url: &Url,
    from: &Url,
    said: Vec<Sum>,
) -> Result<Part, ImportError> {
    let (what, from) = (shown(url), shown(from));
    blocking(move || match sums::check(part.path(), &said)? {
        None => Ok(part),
        Some(reason) => {
            part.remove()?;
            Err(ImportError::Mismatch { what, reason: format!("{reason}, says {from}") })
        }
    })
    .await
}
