//! The name of a release: a package URL, in one form.
//!
//! Owns the bound and the canonical form; the grammar is that of the `packageurl` crate (purl
//! specification). The form is the one that the crate prints, except that a `/` in a version is
//! escaped: the crate prints it as it is, and reads it as the end of a namespace.

use std::fmt;
use std::str::FromStr;

use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};

/// Longest accepted package URL, in bytes.
pub const MAX_PURL: usize = 1024;

/// The qualifier that names the registry or repository.
const REPOSITORY: &str = "repository_url";

/// A repository without the way to it.
fn place(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

/// A text that is not an accepted package URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurlError {
    /// Over [`MAX_PURL`] bytes.
    #[error("a package URL of {0} bytes is longer than {MAX_PURL}")]
    TooLong(usize),
    /// It does not follow the grammar.
    #[error("{text:?} is not a package URL (`pkg:type/namespace/name@version`): {reason}")]
    Grammar {
        /// The text given.
        text: String,
        /// The parser's message.
        reason: String,
    },
    /// It contains control characters, which no name of a release needs.
    #[error("a package URL must not contain control characters")]
    Control,
}

/// A canonical package URL, such as `pkg:generic/kubekey@v3.1.0`.
///
/// ```
/// use perennial_manifest::Purl;
///
/// let purl = Purl::parse("pkg:GitHub/kubesphere/kubekey@v3.1.0")?;
/// assert_eq!(purl.as_str(), "pkg:github/kubesphere/kubekey@v3.1.0");
/// assert_eq!((purl.name(), purl.version()), ("kubekey", Some("v3.1.0")));
/// # Ok::<(), perennial_manifest::PurlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Purl {
    text: Box<str>,
    ty: Box<str>,
    namespace: Option<Box<str>>,
    name: Box<str>,
    version: Option<Box<str>>,
    repository: Option<Box<str>>,
}

impl Purl {
    /// Reads a package URL in any spelling that the specification allows.
    ///
    /// # Errors
    /// [`PurlError`] with the text and the parser's message.
    pub fn parse(text: &str) -> Result<Self, PurlError> {
        if text.len() > MAX_PURL {
            return Err(PurlError::TooLong(text.len()));
        }
        let grammar = |reason: String| PurlError::Grammar { text: text.to_owned(), reason };
        let purl = PackageUrl::from_str(text).map_err(|e| grammar(e.to_string()))?;
        Self::canonical(&purl, text)
    }

    /// `pkg:generic/<name>@<version>`, for a release without an ecosystem of its own.
    ///
    /// # Errors
    /// [`PurlError`] if the name or the version cannot be part of a package URL.
    pub fn generic(name: &str, version: &str) -> Result<Self, PurlError> {
        let given = format!("{name}@{version}");
        if given.len() > MAX_PURL {
            return Err(PurlError::TooLong(given.len()));
        }
        let grammar = |e: packageurl::Error| PurlError::Grammar {
            text: given.clone(),
            reason: e.to_string(),
        };
        let mut purl = PackageUrl::new("generic", name.to_owned()).map_err(grammar)?;
        purl.with_version(version.to_owned()).map_err(grammar)?;
        Self::canonical(&purl, &given)
    }

    fn canonical(purl: &PackageUrl<'_>, given: &str) -> Result<Self, PurlError> {
        let text = print(purl);
        if text.len() > MAX_PURL {
            return Err(PurlError::TooLong(text.len()));
        }
        // Printing may not be a fixed point for every text the parser accepts: only fixed points
        // become names.
        let again = PackageUrl::from_str(&text);
        if again.as_ref().map(print).as_deref() != Ok(text.as_str()) {
            let reason = match again {
                Ok(again) => format!("it has no canonical form; {} is another one", print(&again)),
                Err(error) => format!("it has no canonical form; {text:?}: {error}"),
            };
            return Err(PurlError::Grammar { text: given.to_owned(), reason });
        }
        let purl = Self {
            ty: purl.ty().into(),
            namespace: purl.namespace().map(Into::into),
            name: purl.name().into(),
            version: purl.version().map(Into::into),
            repository: purl.qualifiers().get(REPOSITORY).map(|url| place(url).into()),
            text: text.into(),
        };
        let parts = [Some(&purl.name), purl.namespace.as_ref(), purl.version.as_ref()];
        if parts.into_iter().flatten().any(|part| part.chars().any(char::is_control))
            || purl.name.is_empty()
        {
            return Err(PurlError::Control);
        }
        Ok(purl)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The type, such as `generic` or `docker`.
    #[must_use]
    pub fn ty(&self) -> &str {
        &self.ty
    }

    /// The namespace, decoded.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The name, decoded.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry or repository that it is from (`repository_url`), without scheme.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// The text before the qualifiers, which all package URLs that differ only in them begin with.
    #[must_use]
    pub fn unqualified(&self) -> &str {
        self.text.split(['?', '#']).next().unwrap_or_default()
    }

    /// Whether `self`, as a user gives it, can mean `other`: a version or qualifiers that it lacks
    /// may be any, and so may the scheme of a repository.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        let official = &*self.ty == "docker" && self.namespace.is_none();
        self.ty == other.ty
            && self.name == other.name
            && (self.namespace == other.namespace
                || (official && other.namespace.as_deref() == Some("library")))
            && (self.version.is_none() || self.version == other.version)
            && self.has_qualifiers_of(other)
    }

    fn has_qualifiers_of(&self, other: &Self) -> bool {
        if !self.text.contains('?') {
            return true;
        }
        let parsed = (PackageUrl::from_str(&self.text), PackageUrl::from_str(&other.text));
        let (Ok(given), Ok(theirs)) = parsed else { return false };
        given.qualifiers().iter().all(|(key, value)| match &**key {
            REPOSITORY => other.repository.as_deref() == Some(place(value)),
            key => theirs.qualifiers().get(key) == Some(value),
        })
    }

    /// The version, decoded. Versions are never ordered here.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

/// The canonical text of a package URL.
fn print(purl: &PackageUrl<'_>) -> String {
    let text = purl.to_string();
    if !purl.version().is_some_and(|version| version.contains('/')) {
        return text;
    }
    // The crate escapes every `@` except the one before the version, and every `?` and `#` in it.
    let Some((above, rest)) = text.split_once('@') else { return text };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    format!("{above}@{}{}", rest[..end].replace('/', "%2F"), &rest[end..])
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Purl {
    type Err = PurlError;

    fn from_str(text: &str) -> Result<Self, PurlError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Purl {
    type Error = PurlError;

    /// For data, not for people: only the canonical text is accepted, so that one purl has one
    /// encoding.
    fn try_from(text: String) -> Result<Self, PurlError> {
        let purl = Self::parse(&text)?;
        if *purl.text == text {
            Ok(purl)
        } else {
            Err(PurlError::Grammar { reason: format!("its canonical form is {purl}"), text })
        }
    }
}

impl From<Purl> for String {
    fn from(purl: Purl) -> Self {
        purl.text.into()
    }
}

#[cfg(test)]
mod tests;
