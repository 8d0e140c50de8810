//! What a user may name: a release, a blob, a package URL, or a plain name and version.
//!
//! Owns the grammar of that one argument. `resolve` decides which of them need trust.

use std::fmt;
use std::str::FromStr;

use crate::name::{strip_ignoring_case, without_scheme};
use crate::{BlobId, DigestError, Name, Purl, ReleaseId, Sha256Digest, serde_as_text};

/// Shortest prefix of a release id that is recognised as one, as in git.
pub const MIN_PREFIX: usize = 4;

/// Digests that other tools print, which name nothing here.
const OTHER_DIGESTS: [&str; 4] = ["sha512:", "sha384:", "sha1:", "md5:"];

/// What a user named.
///
/// ```
/// use perennial_manifest::Selector;
///
/// assert!(matches!("kubekey@v3.1.0".parse(), Ok(Selector::Name(_))));
/// assert!(matches!("docker://quay.io/minio/minio:v1".parse(), Ok(Selector::Name(_))));
/// assert!(matches!("pkg:generic/kubekey".parse(), Ok(Selector::Purl(_))));
/// assert!(matches!("ab".repeat(32).parse(), Ok(Selector::Release(_))));
/// assert!("".parse::<Selector>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `<64 hex>`: exactly this release.
    Release(ReleaseId),
    /// `<4 to 63 hex>`: the release with this name, or else the one whose id begins with it.
    ReleasePrefix(String),
    /// `blake3:<64 hex>`: exactly these bytes.
    Blob(BlobId),
    /// `sha256:<64 hex>`: exactly these bytes.
    Sha256(Sha256Digest),
    /// `pkg:…`, with or without a version or qualifiers.
    Purl(Purl),
    /// `[registry/][namespace/]name[@version]`, of any type.
    Name(Name),
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
    /// Whether it can name a release called `purl`. Whole ids and digests never do.
    #[must_use]
    pub fn matches(&self, purl: &Purl) -> bool {
        match self {
            Self::Purl(wanted) => wanted.means(purl),
            Self::Name(name) => name.matches(purl),
            Self::ReleasePrefix(text) => text == purl.name(),
            Self::Release(_) | Self::Blob(_) | Self::Sha256(_) => false,
        }
    }

    /// The names, decoded, of the package URLs that [`Selector::matches`] can be true for, each
    /// with the version that is meant, if only one is: any other name or version excludes a match.
    /// At most 256; none for whole ids and digests.
    #[must_use]
    pub fn names(&self) -> Vec<(&str, Option<String>)> {
        match self {
            Self::Purl(purl) => vec![(purl.name(), purl.version().map(str::to_owned))],
            Self::Name(name) => name.names(),
            Self::ReleasePrefix(text) => vec![(text, None)],
            Self::Release(_) | Self::Blob(_) | Self::Sha256(_) => Vec::new(),
        }
    }

    /// Whether it is the id of this release, or a prefix of it.
    #[must_use]
    pub fn is_release(&self, release: &ReleaseId) -> bool {
        match self {
            Self::Release(id) => id == release,
            Self::ReleasePrefix(prefix) => {
                release.to_hex().starts_with(&prefix.to_ascii_lowercase())
            }
            _ => false,
        }
    }

    /// Whether it means one thing by itself: an id, a digest, a package URL, or a name with a
    /// version. A path in a release hardly ever reads so.
    #[must_use]
    pub fn has_version(&self) -> bool {
        match self {
            Self::Name(name) => name.version().is_some() || name.digest().is_some(),
            Self::ReleasePrefix(_) => false,
            _ => true,
        }
    }

    /// Whether it reads like the first digits of a release id, and has too few of them to be one.
    #[must_use]
    pub fn is_short_id(&self) -> bool {
        matches!(self, Self::Name(_)) && {
            let text = self.to_string();
            text.len() < MIN_PREFIX && is_hex(&text)
        }
    }

    /// The SHA-256 that it states, alone or at the end of an image's name.
    #[must_use]
    pub const fn sha256(&self) -> Option<Sha256Digest> {
        match self {
            Self::Sha256(digest) => Some(*digest),
            Self::Name(name) => name.digest(),
            _ => None,
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(given: &str) -> Result<Self, SelectorError> {
        let shown = || given.chars().take(200).collect::<String>();
        let because = |reason: String| SelectorError { text: shown(), reason };
        let digest = |error: DigestError| because(format!("it is not {}", error.expected()));
        if given.len() > crate::purl::MAX_PURL {
            return Err(because(format!("it is longer than {} bytes", crate::purl::MAX_PURL)));
        }
        let text = without_scheme(given.trim());
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(because("it is empty or contains control characters".into()));
        }
        if strip_ignoring_case(text, "blake3:").is_some() {
            return text.to_ascii_lowercase().parse().map(Self::Blob).map_err(digest);
        }
        let bare = text.strip_prefix('@').unwrap_or(text);
        if strip_ignoring_case(bare, "sha256:").is_some() {
            return bare.to_ascii_lowercase().parse().map(Self::Sha256).map_err(digest);
        }
        if OTHER_DIGESTS.iter().any(|other| strip_ignoring_case(text, other).is_some_and(is_hex)) {
            return Err(because("the digests of files here are SHA-256 and BLAKE3".into()));
        }
        if text.starts_with("pkg:") {
            return Purl::parse(text).map(Self::Purl).map_err(|e| because(e.to_string()));
        }
        if is_hex(text) && text.len() == 64 {
            return text.to_ascii_lowercase().parse().map(Self::Release).map_err(digest);
        }
        if is_hex(text) && (MIN_PREFIX..64).contains(&text.len()) {
            return Ok(Self::ReleasePrefix(text.to_owned()));
        }
        Name::parse(text).map(Self::Name).map_err(because)
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
            Self::Name(name) => name.fmt(f),
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

    fn name(text: &str) -> Selector {
        Selector::Name(Name::parse(text).unwrap())
    }

    #[test]
    fn one_argument_names_one_thing() {
        let hex = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        let id: EntryId = hex.parse().unwrap();
        assert_eq!(read(hex), Selector::Release(id.into()));
        assert_eq!(read(&hex.to_uppercase()), Selector::Release(id.into()));
        assert_eq!(read(&hex[..8]), Selector::ReleasePrefix(hex[..8].into()));
        assert_eq!(read(&hex[..4]), Selector::ReleasePrefix(hex[..4].into()));
        assert_eq!(read("bee"), name("bee"), "too short for an id");
        for spelt in [format!("blake3:{hex}"), format!("BLAKE3:{}", hex.to_uppercase())] {
            assert!(matches!(read(&spelt), Selector::Blob(_)), "{spelt}");
        }
        for spelt in [
            format!("sha256:{hex}"),
            format!("SHA256:{}", hex.to_uppercase()),
            format!(" @sha256:{hex}\n"),
        ] {
            assert!(matches!(read(&spelt), Selector::Sha256(_)), "{spelt}");
        }
        assert!(matches!(read("pkg:generic/kubekey@v3.1.0"), Selector::Purl(_)));
        for text in ["kubekey@v3.1.0", "kubesphere/ks-console", "@angular/core@16.0.0"] {
            assert_eq!(read(text), name(text));
        }
        assert_eq!(read("deadbeef@v1"), name("deadbeef@v1"), "a version makes it a name");
        let image = read(&format!("docker://quay.io/minio/minio:v1@sha256:{hex}"));
        assert_eq!(image.sha256().map(|digest| digest.to_hex()).as_deref(), Some(hex));
        assert_eq!(read(&image.to_string()), image);
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
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "docker://",
            "quay.io/x@sha256:12",
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
            ("pkg:docker/kubesphere/ks-console@v3.4.1", true),
            ("pkg:generic/kubesphere/ks-console", false),
        ] {
            assert_eq!(read(text).matches(&image), matches, "{text}");
        }
        let id = EntryId::from_bytes([0xab; 32]).into();
        assert!(read("abababab").is_release(&id) && !read("abababac").is_release(&id));
        assert!(read("ABAB").is_release(&id) && !read("abababab").matches(&image));
    }
}
