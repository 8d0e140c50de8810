//! Bodies that a server packs although it was asked not to (`Content-Encoding`).
//!
//! What is released is the file, so a body packed with gzip is unpacked. It stays as it is if it is
//! no gzip, or if the file itself is: many servers label a `.tar.gz` in this way. Other encodings
//! are refused.

use std::fs::File;
use std::io::{BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use reqwest::Url;

use super::{Answer, Part, Want, too_long};
use crate::ImportError;
use crate::error::{at, shown};
use crate::html;

/// Beginnings of compressed files, and the encodings that they may be labelled with.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Names of files that are compressed, and keep their encoding.
const NAMES: [&str; 9] = [".gz", ".tgz", ".taz", ".svgz", ".crate", ".apk", ".zst", ".tzst", ".br"];
/// Bytes unpacked at a time.
const PIECE: usize = 256 << 10;

/// The file in a downloaded body. Blocking.
pub(super) fn unpacked(part: Part, answer: &Answer, want: Want<'_>) -> Result<Part, ImportError> {
    let Some(encoding) = answer.encoding.as_deref() else { return Ok(part) };
    let begins = |magic: &[u8]| -> Result<bool, ImportError> {
        let mut first = Vec::new();
        let file = File::open(part.path()).map_err(at(part.path()))?;
        file.take(magic.len() as u64).read_to_end(&mut first).map_err(at(part.path()))?;
        Ok(first == magic)
    };
    let refused = |why: &str| ImportError::Upstream {
        what: shown(want.url),
        reason: format!("the server packs it with {encoding}, though it was asked not to{why}"),
    };
    match encoding {
        "identity" => Ok(part),
        _ if is_packed_by_name(want.url, answer) => Ok(part),
        "gzip" | "x-gzip" if begins(GZIP)? => unpack(part, want, &refused),
        "gzip" | "x-gzip" => Ok(part),
        "zstd" if !begins(ZSTD)? => Ok(part),
        "br" | "deflate" | "zstd" | "compress" | "x-compress" => {
            part.remove()?;
            Err(refused(", and only gzip is unpacked here; ask for it at another address"))
        }
        // Not an encoding: some stores keep other words there.
        _ => Ok(part),
    }
}

/// Whether the file is compressed by its names or its media type.
fn is_packed_by_name(url: &Url, answer: &Answer) -> bool {
    let ends = |text: &str| {
        let lower = text.trim_end_matches(['"', ' ']).to_ascii_lowercase();
        NAMES.iter().any(|ending| lower.ends_with(ending))
    };
    let is_archive = |kind: &str| {
        ["gzip", "x-gzip", "zstd", "x-compressed", "x-compressed-tar", "x-gtar", "x-tgz"]
            .iter()
            .any(|known| kind.strip_prefix("application/") == Some(known))
    };
    ends(url.path())
        || ends(answer.url.path())
        || answer.disposition.as_deref().is_some_and(ends)
        || answer.media_type.as_deref().is_some_and(is_archive)
}

/// Puts the unpacked bytes in place of the packed ones, by way of a nameless file.
fn unpack(
    mut part: Part,
    want: Want<'_>,
    refused: &dyn Fn(&str) -> ImportError,
) -> Result<Part, ImportError> {
    let at = |part: &Part, source| ImportError::File { path: part.path().to_owned(), source };
    let dir = part.path().parent().unwrap_or(part.path());
    let copy = tempfile::tempfile_in(dir).map_err(|e| at(&part, e))?;
    let mut packed = File::open(part.path()).map_err(|e| at(&part, e))?;
    std::io::copy(&mut packed, &mut &copy).map_err(|e| at(&part, e))?;
    std::io::Seek::rewind(&mut &copy).map_err(|e| at(&part, e))?;
    // A file that was unpacked is no beginning of the server's.
    part.begin(None, None)?;
    let mut from = MultiGzDecoder::new(BufReader::new(copy));
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
