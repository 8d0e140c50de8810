//! Patterns for names of releases, as people write them: `minio/*`, `kubekey@v3.*`.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::Purl;
use crate::name::spellings;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 256;

/// A pattern that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a pattern of names such as `minio/*` or `kubekey@v3.*`: {reason}")]
pub struct NamePatternError {
    text: String,
    reason: String,
}

/// A pattern for the names of releases.
///
/// It is compared with each spelling of a name that [`Name`](crate::Name) takes, with and without
/// the version, and must match one as a whole. `*` and `?` stop at a `/`, `**` does not; `{a,b}` is
/// either, `[a-c]` one of a range. In spellings, `:` and `@` before a version are the same.
///
/// ```
/// use perennial_manifest::{NamePattern, Purl};
///
/// let image = Purl::parse("pkg:docker/minio/minio@v1?repository_url=quay.io")?;
/// for pattern in ["minio", "minio/*", "quay.io/**", "minio/minio:v1*"] {
///     assert!(pattern.parse::<NamePattern>().is_ok_and(|p| p.matches(&image)), "{pattern}");
/// }
/// assert!("min".parse::<NamePattern>().is_ok_and(|p| !p.matches(&image)));
/// # Ok::<(), perennial_manifest::PurlError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(GlobMatcher);

impl NamePattern {
    /// Its text, as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }

    /// Whether a release called `purl` is meant.
    #[must_use]
    pub fn matches(&self, purl: &Purl) -> bool {
        spellings(purl).iter().any(|spelling| self.0.is_match(spelling))
    }
}

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<Self, NamePatternError> {
        let error =
            |reason: String| NamePatternError { text: text.chars().take(100).collect(), reason };
        if text.is_empty() {
            return Err(error("it is empty".into()));
        }
        if text.len() > MAX_PATTERN {
            return Err(error(format!("it has more than {MAX_PATTERN} bytes")));
        }
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        glob.map(|glob| Self(glob.compile_matcher())).map_err(|e| error(e.kind().to_string()))
    }
}

impl TryFrom<String> for NamePattern {
    type Error = NamePatternError;

    fn try_from(text: String) -> Result<Self, NamePatternError> {
        text.parse()
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.as_str().to_owned()
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for NamePattern {}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, purl: &str) -> bool {
        pattern.parse::<NamePattern>().unwrap().matches(&Purl::parse(purl).unwrap())
    }

    #[test]
    fn a_pattern_matches_the_spellings_of_a_name() {
        let image = "pkg:docker/minio/minio@v1.2?repository_url=quay.io";
        for pattern in [
            "minio",
            "minio/*",
            "*/minio",
            "quay.io/minio/*",
            "quay.io/**",
            "minio/minio:v1.*",
            "minio/minio@v1.2",
            "m?nio",
            "{minio,other}/*",
        ] {
            assert!(matches(pattern, image), "{pattern}");
        }
        for pattern in ["min", "quay.io/*", "docker.io/**", "minio/minio:v2*", "Minio", "minio/"] {
            assert!(!matches(pattern, image), "{pattern}");
        }
        assert!(matches("*", "pkg:generic/kubekey@v3.1.0"));
        assert!(matches("kubekey@v3.*", "pkg:generic/kubekey@v3.1.0"));
        assert!(matches("nginx", "pkg:docker/library/nginx@1?repository_url=docker.io"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("a[", "unclosed character class"),
            ("{a", "unclosed alternate group"),
            (&"a".repeat(257), "more than 256 bytes"),
        ] {
            let error = text.parse::<NamePattern>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(serde_json::from_str::<NamePattern>("\"a[\"").is_err());
        let pattern: NamePattern = serde_json::from_str("\"minio/*\"").unwrap();
        assert_eq!(serde_json::to_string(&pattern).unwrap(), "\"minio/*\"");
    }
}
