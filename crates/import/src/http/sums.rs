//! Checksum files, whatever tool wrote them: the digests that they state for a file, and the
//! comparison with the file. Digests other than SHA-256 and SHA-512 are skipped, because the other
//! algorithms no longer prove anything, or are not computed here.

mod entry;
mod odd_line;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use perennial_manifest::Sha256;
use sha2::{Digest, Sha512};

pub(crate) use self::entry::is_attempt;
use self::entry::{Entry, Named, entries, has_digits, mentions, text};
use self::odd_line::{OddLine, odd_lines};
use crate::ImportError;
use crate::error::at;

/// A digest from a checksum file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sum {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl Sum {
    /// Parses hex digits or Base64; the decoded length tells the algorithm.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Unambiguous: the hex digits of a digest, read as Base64, never have a digest's length.
        Self::parse_hex(text).or_else(|| Self::of_length(BASE64_STANDARD.decode(text).ok()?))
    }

    fn parse_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok().and_then(Self::of_length)
    }

    fn of_length(bytes: Vec<u8>) -> Option<Self> {
        match bytes.len() {
            32 => bytes.try_into().ok().map(Self::Sha256),
            64 => bytes.try_into().ok().map(Self::Sha512),
            _ => None,
        }
    }

    /// The SHA-256 of a file. Blocking.
    pub(crate) fn sha256_of(path: &Path) -> Result<Self, ImportError> {
        Self::Sha256([0; 32]).of(path)
    }

    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The digest of a file by the same algorithm. Blocking.
    fn of(&self, path: &Path) -> Result<Self, ImportError> {
        match self {
            Self::Sha256(_) => {
                let mut hasher = Sha256::new();
                each_piece(path, |piece| hasher.update(piece))?;
                Ok(Self::Sha256(*hasher.finish().as_bytes()))
            }
            Self::Sha512(_) => {
                let mut hasher = Sha512::new();
                each_piece(path, |piece| hasher.update(piece))?;
                Ok(Self::Sha512(hasher.finalize().into()))
            }
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(bytes) => write!(f, "sha256:{}", hex::encode(bytes)),
            Self::Sha512(bytes) => write!(f, "sha512:{}", hex::encode(bytes)),
        }
    }
}

fn each_piece(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), ImportError> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece).map_err(at(path))? {
            0 => return Ok(()),
            got => take(&piece[..got]),
        }
    }
}

/// A checksum file: its entries, and whether more in it may be a digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    entries: Vec<Entry>,
    /// Whether it has digits that may be a digest, understood or not.
    has_digits: bool,
    /// Lines whose digest is not whole.
    odd: Vec<OddLine>,
}

impl Sums {
    /// Parses the lines that are checksums and skips the rest.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = text(bytes);
        let entries = entries(&text);
        let has_digits = !entries.is_empty() || has_digits(&text);
        Self { entries, has_digits, odd: odd_lines(&text) }
    }

    /// Whether it states digests, in a form that is understood or in another.
    pub(crate) fn has_digests(&self) -> bool {
        self.has_digits
    }

    /// The reason that nothing can be compared with a file without entries.
    pub(crate) fn why_not(&self) -> String {
        match (self.odd.first(), self.has_digits) {
            (Some(odd), _) => odd.to_string(),
            (None, true) => {
                "it has digests, but none that is understood as a SHA-256 or SHA-512".to_owned()
            }
            (None, false) => "nothing in it is understood as a SHA-256 or SHA-512".to_owned(),
        }
    }

    /// What is wrong with a line about one of these names, whose digest is not whole.
    pub(crate) fn fault_of(&self, names: &[String]) -> Option<String> {
        let is_of = |odd: &&OddLine| names.iter().any(|name| odd.is_of(name));
        self.odd.iter().find(is_of).map(ToString::to_string)
    }

    /// Whether it has at least one entry that is understood.
    pub(crate) fn is_understood(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The digests stated for a file name. A name may occur more than once, in different folders.
    pub(crate) fn of(&self, name: &str) -> Vec<Sum> {
        let named = self.entries.iter().filter(|entry| entry.of.is(name));
        named.map(|entry| entry.sum.clone()).collect()
    }

    /// The digests for `name` in a checksum file of its own, where the entries count under any name
    /// if they are all about one file.
    pub(crate) fn of_its_own(&self, name: &str) -> Vec<Sum> {
        match self.of(name) {
            sums if sums.is_empty() && self.is_about_one_file() => {
                self.entries.iter().map(|entry| entry.sum.clone()).collect()
            }
            sums => sums,
        }
    }

    fn is_about_one_file(&self) -> bool {
        let is_alone =
            |at: usize| !self.entries[..at].iter().any(|e| e.sum.is_like(&self.entries[at].sum));
        let first = self.entries.first().map(|entry| &entry.of);
        self.entries.len() == 1
            || (self.entries.iter().all(|entry| {
                Some(&entry.of) == first || matches!(entry.of, Named::Within(_) | Named::Nowhere)
            }) && (0..self.entries.len()).all(is_alone))
    }
}

/// Whether a web page states digests and names one of the files: it may be their checksum list,
/// which only a person can read.
pub(crate) fn is_list_for(page: &[u8], names: &[String]) -> bool {
    let text = text(page);
    names.iter().any(|name| mentions(&text, name)) && has_digits(&text)
}

/// Compares a file with the digests stated for it and returns the difference. For each algorithm,
/// one of the stated digests must match. Blocking.
pub(crate) fn check(path: &Path, said: &[Sum]) -> Result<Option<String>, ImportError> {
    let mut seen: Vec<&Sum> = Vec::new();
    for sum in said {
        if seen.iter().any(|seen| seen.is_like(sum)) {
            continue;
        }
        seen.push(sum);
        let found = sum.of(path)?;
        if !said.contains(&found) {
            return Ok(Some(format!("what came is {found}, and it should be {sum}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
