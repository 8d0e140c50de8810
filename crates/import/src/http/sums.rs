//! Checksum files, whatever tool wrote them: the digests that they state for a file, and the
//! comparison with the file. Digests other than SHA-256 and SHA-512 are skipped, because the other
//! algorithms no longer prove anything, or are not computed here.

mod entry;

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
}

impl Sums {
    /// Parses the lines that are checksums and skips the rest.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = text(bytes);
        let entries = entries(&text);
        let has_digits = !entries.is_empty() || has_digits(&text);
        Self { entries, has_digits }
    }

    /// Whether it states digests, in a form that is understood or in another.
    pub(crate) fn has_digests(&self) -> bool {
        self.has_digits
    }

    /// The reason that nothing can be compared with a file without entries.
    pub(crate) fn why_not(&self) -> &'static str {
        if self.has_digits {
            "it has digests, but none that is understood as a SHA-256 or SHA-512"
        } else {
            "nothing in it is understood as a SHA-256 or SHA-512"
        }
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
mod tests {
    use perennial_manifest::Sha256Digest;

    use super::*;

    #[test]
    fn every_common_checksum_format_is_read() {
        let (a, b) = ("ab".repeat(32), "cd".repeat(64));
        let text = format!(
            "# comment\n{a}  x.tgz\n{a} *dir/y.tgz\n\\{a}  z\nSHA512 (w (1).tgz) = {b}\r\n\
            {}  md5.tgz\n",
            "00".repeat(16)
        );
        let sums = Sums::parse(text.as_bytes());
        for name in ["x.tgz", "y.tgz", "z"] {
            assert_eq!(sums.of(name), [Sum::parse(&a).unwrap()], "{name}");
        }
        assert_eq!(sums.of("w (1).tgz"), [Sum::parse(&b).unwrap()]);
        assert!(sums.of("md5.tgz").is_empty() && sums.of_its_own("other").is_empty());
        let alone = Sums::parse(a.to_uppercase().as_bytes());
        assert_eq!(alone.of_its_own("any"), [Sum::parse(&a).unwrap()]);
        assert!(alone.of("any").is_empty());
        let base64 = BASE64_STANDARD.encode(hex::decode(&a).unwrap());
        assert_eq!(
            Sums::parse(format!("{base64}  x.tgz").as_bytes()).of("x.tgz"),
            [Sum::parse(&a).unwrap()]
        );
        assert_eq!(Sums::parse(b"Not Found"), Sums::default());
    }

    #[test]
    fn forms_of_other_tools_are_read() {
        let (a, b) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(8));
        let groups = |digest: &str, at: &dyn Fn(usize) -> &'static str| -> String {
            let words = digest.as_bytes().chunks(8).map(|word| String::from_utf8_lossy(word));
            words.enumerate().map(|(n, word)| format!("{}{word}", at(n)).to_uppercase()).collect()
        };
        let broken = groups(&b, &|n| if n % 6 == 0 && n > 0 { "\n          " } else { " " });
        let halves = groups(&b, &|n| if n == 8 { "\n   " } else { " " });
        let alone = groups(&b, &|n| if n == 0 { "\n" } else { " " });
        let pairs: Vec<_> =
            a.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect();
        let sri = BASE64_STANDARD.encode(hex::decode(&b).unwrap());
        for (text, digest) in [
            (format!("SHA256(x.tgz)= {a}\n"), &a),
            (format!("SHA2-256(x.tgz)= {a}"), &a),
            (format!("SHA2-512(./dir/x.tgz) = {}", b.to_uppercase()), &b),
            (format!("SHA256(x.tgz)= {}", pairs.join(":")), &a),
            (format!("x.tgz:{broken}\n"), &b),
            (format!("x.tgz:{halves}\n"), &b),
            (format!("x.tgz:{alone}\n"), &b),
            (format!("x.tgz:    MD5 = 00 11\nx.tgz: SHA256 ={}\n", groups(&a, &|_| " ")), &a),
            (format!("x.tgz: {b}"), &b),
            (format!("x.tgz = {a}"), &a),
            (format!("x.tgz  sha256:{a}"), &a),
            (format!("sha256:{a}  x.tgz"), &a),
            (format!("SHA256: {a} *x.tgz"), &a),
            (format!("sha512-{sri} x.tgz"), &b),
            (format!("SHA256 {} C:\\build\\x.tgz", a.to_uppercase()), &a),
            (format!("SHA256 hash of x.tgz:\r\n{}\r\nCertUtil: done\r\n", pairs.join(" ")), &a),
            (format!("SHA256 hash of file x.tgz:\n{a}\n"), &a),
            (format!("{{\"x.tgz\": \"{a}\"}}"), &a),
            (format!("| [x.tgz](https://a.test/x.tgz) | `{a}` |"), &a),
            (format!("{a},x.tgz\n"), &a),
            (format!("\u{feff}{a}  x.tgz\n"), &a),
        ] {
            let sums = Sums::parse(text.as_bytes());
            assert_eq!(sums.of("x.tgz"), [Sum::parse(digest).unwrap()], "{text}");
            assert!(sums.of("tgz").is_empty() && sums.of("x.tgz.sig").is_empty(), "{text}");
            let wide: Vec<u8> =
                format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert_eq!(Sums::parse(&wide), sums, "{text}");
            assert_eq!(Sums::parse(&wide[2..]), sums, "without a mark: {text}");
            for bytes in [u32::to_le_bytes, u32::to_be_bytes] {
                let wider: Vec<u8> =
                    format!("\u{feff}{text}").chars().map(u32::from).flat_map(bytes).collect();
                assert_eq!(Sums::parse(&wider), sums, "{text}");
                assert_eq!(Sums::parse(&wider[4..]), sums, "without a mark: {text}");
            }
        }
        let list = format!("Algorithm : SHA256\nHash      : {a}\nPath      : C:\\x.tgz\n");
        assert_eq!(Sums::parse(list.as_bytes()).of_its_own("x.tgz"), [Sum::parse(&a).unwrap()]);
        let both = format!("sha256: {a}\nsha512: {b}\n");
        assert_eq!(Sums::parse(both.as_bytes()).of_its_own("x.tgz").len(), 2);
    }

    #[test]
    fn other_algorithms_are_not_taken_for_sha_2_and_are_not_silent() {
        let a = "ab".repeat(32);
        for text in [
            format!("SHA3-256(x.tgz)= {a}"),
            format!("BLAKE2b-256 (x.tgz) = {a}"),
            format!("x.tgz: SHA512/256 = {a}"),
            format!("blake3:{a}  x.tgz"),
            format!("{{\"x.tgz\": {{\"blake3\": \"{a}\"}}}}"),
            format!("SHA384 (x.tgz) = {}", "ab".repeat(48)),
        ] {
            let sums = Sums::parse(text.as_bytes());
            assert!(!sums.is_understood() && sums.has_digests(), "{text}");
        }
        let two = format!("{a}  y.tgz\n{a}  z.tgz\n");
        assert!(Sums::parse(two.as_bytes()).of_its_own("x.tgz").is_empty());
        assert!(!Sums::parse(b"Not Found, request 0123456789abcdef0123456789abcdef").has_digests());
    }

    #[test]
    fn an_unknown_form_is_told_from_the_news_that_there_is_no_file() {
        let names = ["x.tgz".to_owned()];
        let digits = "0123456789abcdef".repeat(4);
        for odd in [
            String::new(),
            "\r\n".into(),
            digits[..63].into(),
            format!("{}  x.tgz", &digits[..40]),
            format!("{}  x.tgz", &digits[..32]),
            format!("MD5 (x.tgz) = {}", &digits[..32]),
            "xx\0y".into(),
        ] {
            assert!(is_attempt(odd.as_bytes(), &names), "{odd}");
        }
        assert!(is_attempt(&[0x9c; 32], &names) && is_attempt(&[0x1f, 0x8b, 8, 0], &names));
        for news in [
            "Not Found".to_owned(),
            "404 page not found\n".into(),
            format!("Not Found, request {}", &digits[..32]),
            format!("no such key: x.tgz.sha256, id {}", &digits[..32]),
            r#"{"error": "nicht gefunden, für Sie"}"#.into(),
        ] {
            assert!(!is_attempt(news.as_bytes(), &names), "{news}");
        }
    }

    #[test]
    fn a_file_must_match_one_listed_digest_of_each_kind() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let right = Sum::Sha256(*Sha256Digest::of(b"abc").as_bytes());
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
