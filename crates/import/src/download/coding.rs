//! The codings of a body (`Content-Encoding`): what a server did to the bytes on their way.
//!
//! Nothing here asks for one, and servers send them all the same. Gzip is unpacked. Any other
//! coding is refused by its name where it cannot be told to be a mistake: many servers put a label
//! on files that are compressed themselves, and some keep words there that are no codings.

use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// What was done to a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Coding {
    /// `gzip`, of one member or of several.
    Gzip,
    /// Another coding, in lower case.
    Other(String),
}

/// A compressed format: the words for it, its first bytes, and the endings of files in it.
struct Format {
    words: &'static [&'static str],
    magic: &'static [u8],
    endings: &'static [&'static str],
}

/// The formats that bodies are packed with, besides gzip. `magic` is empty if there is none.
const OTHERS: [Format; 9] = [
    Format { words: &["br"], magic: b"", endings: &[".br"] },
    Format { words: &["deflate"], magic: b"", endings: &[] },
    Format { words: &["zstd", "x-zstd"], magic: b"\x28\xb5\x2f\xfd", endings: &[".zst", ".tzst"] },
    Format { words: &["compress", "x-compress"], magic: b"\x1f\x9d", endings: &[".z", ".taz"] },
    Format {
        words: &["bzip2", "x-bzip2", "bzip"],
        magic: b"BZh",
        endings: &[".bz2", ".tbz2", ".tbz"],
    },
    Format { words: &["xz", "x-xz"], magic: b"\xfd7zXZ\0", endings: &[".xz", ".txz"] },
    Format { words: &["lzma", "x-lzma"], magic: b"", endings: &[".lzma"] },
    Format { words: &["dcb", "dcz", "exi", "pack200-gzip"], magic: b"", endings: &[] },
    Format { words: &["lz4", "snappy"], magic: b"", endings: &[".lz4", ".sz"] },
];
/// The first bytes of gzip.
pub(crate) const GZIP: &[u8] = &[0x1f, 0x8b];
/// Endings of files that are packed with gzip.
pub(super) const GZIPPED: [&str; 6] = [".gz", ".tgz", ".taz", ".svgz", ".crate", ".apk"];
/// The longest of all first bytes.
pub(super) const FIRST: u64 = 6;

impl Coding {
    /// The codings of a body, in the order in which they were applied. `identity` is none.
    pub(crate) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
        texts.flat_map(|text| text.split(',').filter_map(Self::of).collect::<Vec<_>>()).collect()
    }

    /// The coding that a word names; `None` for words that are no codings.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word.trim() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            other => format(other).map(|_| Self::Other(other.to_owned())),
        }
    }

    /// Whether a file of this name and with these first bytes is labelled so because it is
    /// compressed itself, or is not packed with this coding at all.
    pub(super) fn is_only_a_label(&self, name: &str, first: &[u8]) -> bool {
        match self {
            Self::Gzip => !first.starts_with(GZIP),
            Self::Other(word) => format(word).is_some_and(|format| {
                let is_other = !format.magic.is_empty() && !first.starts_with(format.magic);
                is_other
                    || format.endings.iter().any(|ending| name.ends_with(ending))
                    || is_compressed(name, first)
            }),
        }
    }

    /// The word for it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Gzip => "gzip",
            Self::Other(word) => word,
        }
    }
}

/// Whether a file is compressed, by its name and by its first bytes.
fn is_compressed(name: &str, first: &[u8]) -> bool {
    let others = OTHERS.iter().map(|format| (format.magic, format.endings));
    others.chain([(GZIP, &GZIPPED[..])]).any(|(magic, endings)| {
        let is_named = endings.iter().any(|ending| name.ends_with(ending));
        is_named && !magic.is_empty() && first.starts_with(magic)
    })
}

fn format(word: &str) -> Option<&'static Format> {
    OTHERS.iter().find(|format| format.words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_read_in_every_form_that_servers_write() {
        let all = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            Coding::all(&headers).iter().map(|coding| coding.as_str().to_owned()).collect()
        };
        let cases: [(&[&str], &[&str]); 9] = [
            (&[], &[]),
            (&["identity"], &[]),
            (&["GZip"], &["gzip"]),
            (&["x-gzip"], &["gzip"]),
            (&["gzip, identity", " gzip "], &["gzip", "gzip"]),
            (&["aws-chunked,gzip"], &["gzip"]),
            (&["utf-8"], &[]),
            (&["deflate,BR"], &["deflate", "br"]),
            (&[""], &[]),
        ];
        for (values, expected) in cases {
            let found: Vec<String> = all(values);
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn a_label_is_told_from_a_coding_by_name_and_first_bytes() {
        let other = |word: &str| Coding::of(word).unwrap();
        let zstd = b"\x28\xb5\x2f\xfd.".as_slice();
        for (word, name, first) in [
            ("br", "a.br", b"abc".as_slice()),
            ("br", "a.tgz", b"\x1f\x8b\x08"),
            ("deflate", "a.tar.xz", b"\xfd7zXZ\0"),
            ("zstd", "a.txt", b"plain"),
            ("zstd", "a.tar.zst", zstd),
            ("x-compress", "a.tar.z", b"\x1f\x9d\x90"),
            ("gzip", "a.txt", b"plain"),
        ] {
            assert!(other(word).is_only_a_label(name, first), "{word} {name}");
        }
        for (word, name, first) in [
            ("br", "a.tgz", b"abc".as_slice()),
            ("br", "a.bin", b"\x1f\x8b\x08"),
            ("deflate", "a.txt", b"\x78\x9c"),
            ("zstd", "a.tgz", zstd),
            ("compress", "a.txt", b"\x1f\x9d\x90"),
            ("gzip", "a.txt", b"\x1f\x8b\x08"),
        ] {
            assert!(!other(word).is_only_a_label(name, first), "{word} {name}");
        }
    }
}
