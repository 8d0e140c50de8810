//! Bodies that a server packs although it was asked not to (`Content-Encoding`).
//!
//! What is released is the file, so a body packed with gzip is unpacked. It stays as it is if it is
//! no gzip, or if the file itself is: many servers label a `.tar.gz` in this way. What is in it
//! tells whether such a file was packed once more. Other codings are refused.

use std::fs::File;
use std::io::{BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use reqwest::Url;

use super::coding::{Coding, FIRST, GZIP, GZIPPED};
use super::{Answer, Part, Want, too_long};
use crate::ImportError;
use crate::error::{at, shown};
use crate::html;

/// Bytes unpacked at a time.
const PIECE: usize = 256 << 10;

/// The file in a downloaded body. Blocking.
pub(super) fn unpacked(
    mut part: Part,
    answer: &Answer,
    want: Want<'_>,
) -> Result<Part, ImportError> {
    // The last coding is the outermost.
    for coding in answer.codings.iter().rev() {
        let first = first_bytes(&part)?;
        let is_label = names(want.url, answer).any(|name| coding.is_only_a_label(&name, &first));
        if is_label || (*coding == Coding::Gzip && is_gzip_itself(&part, want.url, answer)?) {
            continue;
        }
        if *coding != Coding::Gzip {
            part.remove()?;
            let why = ", and only gzip is unpacked here; ask for it at another address";
            return Err(refused(want.url, coding, why));
        }
        part = unpack(part, want, &|why| refused(want.url, coding, why))?;
    }
    Ok(part)
}

fn refused(url: &Url, coding: &Coding, why: &str) -> ImportError {
    let coding = coding.as_str();
    ImportError::Upstream {
        what: shown(url),
        reason: format!("the server packs it with {coding}, though it was asked not to{why}"),
    }
}

fn first_bytes(part: &Part) -> Result<Vec<u8>, ImportError> {
    let mut first = Vec::new();
    let file = File::open(part.path()).map_err(at(part.path()))?;
    file.take(FIRST).read_to_end(&mut first).map_err(at(part.path()))?;
    Ok(first)
}

/// The names of a file, in lower case: in its URLs, the server's, and the ending of its media type.
fn names(url: &Url, answer: &Answer) -> impl Iterator<Item = String> {
    let given = answer.disposition.clone().unwrap_or_default();
    let ending = match answer.media_type.as_deref() {
        Some("application/zstd") => ".zst",
        Some("application/x-xz") => ".xz",
        Some("application/x-bzip2" | "application/x-bzip") => ".bz2",
        Some("application/x-compress") => ".z",
        _ => "",
    };
    let all = [url.path().to_owned(), answer.url.path().to_owned(), given, ending.to_owned()];
    all.into_iter().map(|name| name.trim_end_matches(['"', ' ']).to_ascii_lowercase())
}

/// Whether a body is a file that is packed with gzip itself, by its names or its media type, and
/// is not packed once more.
fn is_gzip_itself(part: &Part, url: &Url, answer: &Answer) -> Result<bool, ImportError> {
    let is_archive = |kind: &str| {
        ["gzip", "x-gzip", "x-compressed", "x-compressed-tar", "x-gtar", "x-tgz"]
            .iter()
            .any(|known| kind.strip_prefix("application/") == Some(known))
    };
    let is_named = names(url, answer).any(|name| GZIPPED.iter().any(|end| name.ends_with(end)));
    if !is_named && !answer.media_type.as_deref().is_some_and(is_archive) {
        return Ok(false);
    }
    let file = File::open(part.path()).map_err(at(part.path()))?;
    let mut inner = Vec::new();
    // A body that does not unpack was not packed.
    let read = MultiGzDecoder::new(BufReader::new(file)).take(FIRST).read_to_end(&mut inner);
    Ok(read.is_err() || !inner.starts_with(GZIP))
}

/// Puts the unpacked bytes in place of the packed ones, by way of a nameless file.
fn unpack(
    mut part: Part,
    want: Want<'_>,
    refused: &dyn Fn(&str) -> ImportError,
) -> Result<Part, ImportError> {
    let at = |part: &Part, source| ImportError::File { path: part.path().to_owned(), source };
    let mut copy = part.scratch()?;
    let mut packed = File::open(part.path()).map_err(|e| at(&part, e))?;
    std::io::copy(&mut packed, &mut copy).map_err(|e| at(&part, e))?;
    std::io::Seek::rewind(&mut copy.file()).map_err(|e| at(&part, e))?;
    // A file that was unpacked is no beginning of the server's.
    part.begin(None, None, &[])?;
    let mut from = MultiGzDecoder::new(BufReader::new(copy.file()));
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(part),
            Ok(_) if part.len() == 0 && !want.html && html::is_html(&piece) => {
                part.remove()?;
                return Err(html::refusal(&shown(want.url)));
            }
            Ok(got) if part.len() + got as u64 > want.most => {
                part.remove()?;
                return Err(too_long(&shown(want.url), want.most));
            }
            Ok(got) => part.write(&piece[..got])?,
            Err(error) => {
                part.remove()?;
                return Err(refused(&format!(", and it does not unpack: {error}")));
            }
        }
    }
}
