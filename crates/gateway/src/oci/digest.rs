//! The digests that registries name content by: `sha256:…` and `sha512:…`.

use std::fmt;
use std::io::Read;

use perennial_manifest::Sha256Digest;
use sha2::{Digest as _, Sha256, Sha512};

/// A digest of a registry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Digest {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl Digest {
    /// Reads a digest in its one spelling; none for other algorithms, which this node cannot check.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        match algorithm {
            "sha256" => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(hex, &mut bytes).ok().map(|()| Self::Sha256(bytes))
            }
            "sha512" => {
                let mut bytes = [0; 64];
                hex::decode_to_slice(hex, &mut bytes).ok().map(|()| Self::Sha512(bytes))
            }
            _ => None,
        }
    }

    /// The digest that a path of an OCI image layout, `blobs/<algorithm>/<hex>`, stands for.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
        Self::parse(&format!("{algorithm}:{hex}"))
    }

    /// Where it lies in an OCI image layout.
    pub(crate) fn path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm(), self.hex())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    fn hex(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex::encode(bytes),
            Self::Sha512(bytes) => hex::encode(bytes),
        }
    }

    /// As the rest of the project writes it, where that knows the algorithm.
    pub(crate) fn sha256(&self) -> Option<Sha256Digest> {
        match self {
            Self::Sha256(bytes) => Some(Sha256Digest::from_bytes(*bytes)),
            Self::Sha512(_) => None,
        }
    }

    /// The SHA-256 of bytes.
    pub(crate) fn sha256_of(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// Whether bytes have this digest.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha256(expected) => Sha256::digest(bytes)[..] == expected[..],
            Self::Sha512(expected) => Sha512::digest(bytes)[..] == expected[..],
        }
    }

    /// Whether what a reader gives has this digest.
    pub(crate) fn is_of_reader(&self, mut reader: impl Read) -> std::io::Result<bool> {
        fn all<D: sha2::Digest>(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
            let (mut state, mut piece) = (D::new(), vec![0; 256 << 10]);
            loop {
                match reader.read(&mut piece)? {
                    0 => return Ok(state.finalize().to_vec()),
                    read => state.update(&piece[..read]),
                }
            }
        }
        Ok(match self {
            Self::Sha256(expected) => all::<Sha256>(&mut reader)? == expected,
            Self::Sha512(expected) => all::<Sha512>(&mut reader)? == expected,
        })
    }

    /// Its first bytes: enough to look it up by, never to believe it by.
    pub(crate) fn key(&self) -> [u8; 16] {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        };
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[..16]);
        key
    }
}

impl From<Sha256Digest> for Digest {
    fn from(digest: Sha256Digest) -> Self {
        Self::Sha256(*digest.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_read_and_no_other() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::parse(empty).expect("a digest");
        assert!(digest.is_of(b"") && !digest.is_of(b"x"));
        assert!(digest.is_of_reader(&b""[..]).expect("memory reads"));
        assert_eq!(digest.to_string(), empty);
        assert_eq!(Digest::of_path(&digest.path()), Some(digest));
        let long = format!("sha512:{}", "0f".repeat(64));
        assert_eq!(Digest::parse(&long).expect("a digest").to_string(), long);
        assert_ne!(Digest::parse(&long).expect("a digest").key(), [0; 16]);
        for wrong in
            ["", "sha256:", "sha256:00", "md5:00", &empty.to_uppercase(), &empty[7..], "sha512:00"]
        {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Digest::parse(&empty.replace("e3b0", "E3B0")), None);
        assert_eq!(Digest::of_path("index.json"), None);
    }
}
