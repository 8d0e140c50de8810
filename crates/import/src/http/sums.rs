//! Checksum files as `sha256sum`, `shasum`, BSD's `sha256` and release tools write them. Digests
//! other than SHA-256 and SHA-512 are skipped, because the other algorithms no longer prove
//! anything.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256, Sha512};

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
        let of = |bytes: Vec<u8>| match bytes.len() {
            32 => bytes.try_into().ok().map(Self::Sha256),
            64 => bytes.try_into().ok().map(Self::Sha512),
            _ => None,
        };
        // Unambiguous: the hex digits of a digest, read as Base64, never have a digest's length.
        hex::decode(text).ok().and_then(of).or_else(|| of(BASE64_STANDARD.decode(text).ok()?))
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
        let mut file = File::open(path).map_err(at(path))?;
        Ok(match self {
            Self::Sha256(_) => Self::Sha256(digest::<Sha256>(&mut file).map_err(at(path))?.into()),
            Self::Sha512(_) => Self::Sha512(digest::<Sha512>(&mut file).map_err(at(path))?.into()),
        })
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

fn digest<D: Digest>(from: &mut impl Read) -> std::io::Result<sha2::digest::Output<D>> {
    let mut hasher = D::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hasher.finalize()),
            got => hasher.update(&piece[..got]),
        }
    }
}

/// The entries of a checksum file: digests, each with its file name, if it has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums(Vec<(Option<String>, Sum)>);

impl Sums {
    /// Parses the lines that are checksums and skips the rest. Having at least one is the only mark
    /// of a checksum file.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(line).collect())
    }

    /// The digests stated for a file name. A name may occur more than once, in different folders.
    pub(crate) fn of(&self, name: &str) -> Vec<Sum> {
        let named = |(found, sum): &(Option<String>, Sum)| {
            let last = found.as_deref()?.rsplit(['/', '\\']).next()?;
            (last == name).then(|| sum.clone())
        };
        self.0.iter().filter_map(named).collect()
    }

    /// The digests for `name` in a checksum file of its own, where a lone entry counts under any
    /// name.
    pub(crate) fn of_its_own(&self, name: &str) -> Vec<Sum> {
        match self.of(name) {
            sums if sums.is_empty() && self.0.len() == 1 => vec![self.0[0].1.clone()],
            sums => sums,
        }
    }
}

/// Parses `<hex>  name`, `<hex> *name`, `SHA256 (name) = <hex>`, or a digest alone.
fn line(line: &str) -> Option<(Option<String>, Sum)> {
    // A leading backslash marks escaped line breaks and backslashes in the name, which no accepted
    // file name contains.
    let line = line.trim().trim_start_matches('\\');
    if let Some((before, hex)) = line.rsplit_once(" = ") {
        let (_algorithm, name) = before.split_once(" (")?;
        return Some((Some(name.strip_suffix(')')?.to_owned()), Sum::parse(hex.trim())?));
    }
    match line.split_once(char::is_whitespace) {
        None => Some((None, Sum::parse(line)?)),
        Some((hex, name)) => {
            let name = name.trim_start();
            Some((Some(name.strip_prefix('*').unwrap_or(name).to_owned()), Sum::parse(hex)?))
        }
    }
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
mod tests {
    use super::*;

    #[test]
    fn every_common_checksum_format_is_read() {
        let (a, b) = ("ab".repeat(32), "cd".repeat(64));
        let text = format!(
            "# comment\n{a}  x.tgz\n{a} *dir/y.tgz\n\\{a}  z\nSHA512 (w (1).tgz) = {b}\r\n\
            {}  md5.tgz\n",
            "00".repeat(16)
        );
        let sums = Sums::parse(&text);
        for name in ["x.tgz", "y.tgz", "z"] {
            assert_eq!(sums.of(name), [Sum::parse(&a).unwrap()], "{name}");
        }
        assert_eq!(sums.of("w (1).tgz"), [Sum::parse(&b).unwrap()]);
        assert!(sums.of("md5.tgz").is_empty() && sums.of_its_own("other").is_empty());
        let alone = Sums::parse(&a.to_uppercase());
        assert_eq!(alone.of_its_own("any"), [Sum::parse(&a).unwrap()]);
        assert!(alone.of("any").is_empty());
        let base64 = BASE64_STANDARD.encode(hex::decode(&a).unwrap());
        assert_eq!(Sums::parse(&format!("{base64}  x.tgz")).of("x.tgz"), [Sum::parse(&a).unwrap()]);
        assert_eq!(Sums::parse("Not Found"), Sums::default());
    }

    #[test]
    fn a_file_must_match_one_listed_digest_of_each_kind() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let right = Sum::Sha256(Sha256::digest(b"abc").into());
        let longer = Sum::Sha512(Sha512::digest(b"abc").into());
        let (wrong, wrong_longer) = (Sum::Sha256([0; 32]), Sum::Sha512([0; 64]));
        let differs = |said: &[&Sum]| {
            let said: Vec<_> = said.iter().copied().cloned().collect();
            check(file.path(), &said).unwrap().is_some()
        };
        assert!(!differs(&[&right, &longer]) && !differs(&[&wrong, &right]) && !differs(&[]));
        assert!(
            differs(&[&wrong, &longer]) && differs(&[&right, &wrong_longer]) && differs(&[&wrong])
        );
    }
}
