//! What a user may name: a release, a blob, a package URL, or a plain name and version.
//!
//! Owns the grammar of that one argument. `resolve` decides which of them need trust.

use std::fmt;
use std::str::FromStr;

use crate::{BlobId, Purl, ReleaseId, Sha256Digest, serde_as_text};

/// Shortest prefix of a release id that is recognised as one.
pub const MIN_PREFIX: usize = 8;

/// What a user named.
///
/// ```
/// use perennial_manifest::Selector;
///
/// assert!(matches!("kubekey@v3.1.0".parse(), Ok(Selector::Name { .. })));
/// assert!(matches!("pkg:generic/kubekey".parse(), Ok(Selector::Purl(_))));
/// assert!(matches!("ab".repeat(32).parse(), Ok(Selector::Release(_))));
/// assert!("".parse::<Selector>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `<64 hex>`: exactly this release.
    Release(ReleaseId),
    /// `<8 to 63 hex>`: the one known release whose id has this prefix.
    ReleasePrefix(String),
    /// `blake3:<64 hex>`: exactly these bytes.
    Blob(BlobId),
    /// `sha256:<64 hex>`: exactly these bytes.
    Sha256(Sha256Digest),
    /// `pkg:…`, with or without a version.
    Purl(Purl),
    /// `[namespace/]name[@version]`, of any type.
    Name {
        /// The part before the last `/`.
        namespace: Option<String>,
        /// The name.
        name: String,
        /// The part after the last `@`.
        version: Option<String>,
    },
}

/// A text that does not name anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names nothing: {reason}; give NAME@VERSION, pkg:…, a release id, blake3:… or sha256:…"
)]
pub struct SelectorError {
    text: String,
    reason: String,
}

impl Selector {
    /// Whether it names a release called `purl`. Ids and digests never do.
    #[must_use]
    pub fn matches(&self, purl: &Purl) -> bool {
        match self {
            Self::Purl(wanted) if wanted.version().is_some() => wanted == purl,
            Self::Purl(wanted) => {
                (wanted.ty(), wanted.namespace(), wanted.name())
                    == (purl.ty(), purl.namespace(), purl.name())
            }
            Self::Name { namespace, name, version } => {
                name == purl.name()
                    && namespace.as_deref().is_none_or(|ns| Some(ns) == purl.namespace())
                    && version.as_deref().is_none_or(|version| Some(version) == purl.version())
            }
            _ => false,
        }
    }

    /// Whether it is the id of this release, or a prefix of it.
    #[must_use]
    pub fn is_release(&self, release: &ReleaseId) -> bool {
        match self {
            Self::Release(id) => id == release,
            Self::ReleasePrefix(prefix) => release.to_hex().starts_with(prefix),
            _ => false,
        }
    }

    /// Whether it needs no trust: a digest itself identifies the bytes.
    #[must_use]
    pub const fn is_digest(&self) -> bool {
        !matches!(self, Self::Purl(_) | Self::Name { .. })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let shown = || text.chars().take(200).collect::<String>();
        let because = |reason: String| SelectorError { text: shown(), reason };
        if text.len() > crate::purl::MAX_PURL {
            return Err(because(format!("it is longer than {} bytes", crate::purl::MAX_PURL)));
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(because("it is empty or contains control characters".into()));
        }
        if text.starts_with("blake3:") {
            return text
                .parse()
                .map(Self::Blob)
                .map_err(|e: crate::DigestError| because(e.to_string()));
        }
        if text.starts_with("sha256:") {
            return text
                .parse()
                .map(Self::Sha256)
                .map_err(|e: crate::DigestError| because(e.to_string()));
        }
        if text.starts_with("pkg:") {
            return Purl::parse(text).map(Self::Purl).map_err(|e| because(e.to_string()));
        }
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex && let Ok(id) = text.parse() {
            return Ok(Self::Release(id));
        }
        if hex && (MIN_PREFIX..64).contains(&text.len()) {
            return Ok(Self::ReleasePrefix(text.to_owned()));
        }
        let (path, version) = match text.rsplit_once('@') {
            Some((path, version)) if !path.is_empty() => (path, Some(version)),
            _ => (text, None),
        };
        let (namespace, name) = match path.rsplit_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, path),
        };
        if name.is_empty()
            || version.is_some_and(str::is_empty)
            || namespace.is_some_and(str::is_empty)
        {
            return Err(because("a part of it is empty".into()));
        }
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Ok(Self::Name {
            namespace: owned(namespace),
            name: name.to_owned(),
            version: owned(version),
        })
    }
}

serde_as_text!(Selector);

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(id) => id.fmt(f),
            Self::ReleasePrefix(prefix) => f.write_str(prefix),
            Self::Blob(id) => id.fmt(f),
            Self::Sha256(digest) => digest.fmt(f),
            Self::Purl(purl) => purl.fmt(f),
            Self::Name { namespace, name, version } => {
                if let Some(namespace) = namespace {
                    write!(f, "{namespace}/")?;
                }
                f.write_str(name)?;
                version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;

    fn read(text: &str) -> Selector {
        text.parse().unwrap()
    }

    fn name(namespace: Option<&str>, name: &str, version: Option<&str>) -> Selector {
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Selector::Name { namespace: owned(namespace), name: name.into(), version: owned(version) }
    }

    #[test]
    fn one_argument_names_one_thing() {
        let hex = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        let id: EntryId = hex.parse().unwrap();
        assert_eq!(read(hex), Selector::Release(id.into()));
        assert_eq!(read(&hex[..8]), Selector::ReleasePrefix(hex[..8].into()));
        assert_eq!(read(&hex[..7]), name(None, &hex[..7], None), "too short for an id");
        assert!(matches!(read(&format!("blake3:{hex}")), Selector::Blob(_)));
        assert!(matches!(read(&format!("sha256:{hex}")), Selector::Sha256(_)));
        assert!(matches!(read("pkg:generic/kubekey@v3.1.0"), Selector::Purl(_)));
        assert_eq!(read("kubekey@v3.1.0"), name(None, "kubekey", Some("v3.1.0")));
        assert_eq!(read("kubesphere/ks-console"), name(Some("kubesphere"), "ks-console", None));
        assert_eq!(read("@angular/core@16.0.0"), name(Some("@angular"), "core", Some("16.0.0")));
        assert_eq!(
            read("deadbeef@v1"),
            name(None, "deadbeef", Some("v1")),
            "a version makes it a name"
        );
    }

    #[test]
    fn a_malformed_selector_is_refused_with_a_hint() {
        let long = "a".repeat(1025);
        for text in [
            "",
            "a\nb",
            "kubekey@",
            "/kubekey",
            "kubesphere/",
            "blake3:6437",
            "sha256:",
            "pkg:generic",
            &long,
        ] {
            let error = text.parse::<Selector>().expect_err(text).to_string();
            assert!(error.contains("give NAME@VERSION") && error.len() < 900, "{error}");
        }
    }

    #[test]
    fn a_name_matches_every_type_and_a_purl_only_itself() {
        let image =
            Purl::parse("pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io").unwrap();
        for (text, matches) in [
            ("ks-console", true),
            ("ks-console@v3.4.1", true),
            ("kubesphere/ks-console@v3.4.1", true),
            ("ks-console@v3.4", false),
            ("other/ks-console", false),
            ("console", false),
            ("pkg:docker/kubesphere/ks-console", true),
            ("pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io", true),
            ("pkg:docker/kubesphere/ks-console@v3.4.1", false),
            ("pkg:generic/kubesphere/ks-console", false),
        ] {
            assert_eq!(read(text).matches(&image), matches, "{text}");
        }
        let id = EntryId::from_bytes([0xab; 32]).into();
        assert!(read("abababab").is_release(&id) && !read("abababac").is_release(&id));
        assert!(!read("abababab").matches(&image));
    }
}
