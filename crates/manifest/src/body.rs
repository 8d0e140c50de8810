//! The statements an entry can make: the body kinds, their fields and their bounds.
//!
//! Owns the set of statements. Every known kind is checked; unknown kinds and fields are kept and
//! relayed with the entry, unless they are marked critical (FORMAT.md, "Bodies").

mod licence;
mod observation;
mod release;
mod status;

use ipld_core::ipld::Ipld;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::{ListError, PublisherId, PublisherKind, Purl};

pub use licence::{NO_ASSERTION, licence};
pub use observation::{Observation, Verdict};
pub use release::{Acquired, Release, Source};
pub use status::{Status, StatusKind, Target};

/// Longest text of a field meant for people, in bytes.
const MAX_TEXT: usize = 2048;
/// Most elements of a list inside a body.
const MAX_ITEMS: usize = 64;

/// Why a body may be neither signed nor believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The fields are not those of its kind.
    #[error("body: {0}")]
    Encoding(#[from] CanonicalError),
    /// Its claims about the artifact list are impossible.
    #[error(transparent)]
    List(#[from] ListError),
    /// A field is empty, too long, or contains control characters.
    #[error("the field `{0}` of the release is empty, too long or contains control characters")]
    Field(&'static str),
    /// The licence is not an SPDX expression.
    #[error(
        "licence {text:?} is not an SPDX expression: {reason} (`NOASSERTION` where it is unknown)"
    )]
    Licence {
        /// The text given.
        text: String,
        /// The parser's message.
        reason: String,
    },
    /// A release's package URL has no version.
    #[error("{0} has no version; a release is one version of one thing")]
    NoVersion(Purl),
}

/// The statement of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The identity that the publisher claims.
    Profile(Profile),
    /// One version of one project, and its artifacts.
    Release(Box<Release>),
    /// The answer of an upstream, and its time.
    Observation(Observation),
    /// A remark on a release or digest. It cannot delete.
    Status(Status),
    /// The feed continues under another key.
    Rotate(Rotate),
    /// Joins the branches of a fork; its entry has several `prevs`.
    Merge(Merge),
    /// A kind unknown to this version: kept and relayed, not interpreted.
    Unknown {
        /// The name of the kind.
        kind: String,
        /// The fields, as deterministic CBOR.
        fields: Vec<u8>,
    },
}

/// The identity that a publisher claims; shown as unproven until observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Display name.
    pub name: String,
    /// Whether it is the project itself or a third party that saved a copy.
    pub publisher_kind: PublisherKind,
    /// How to reach the publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Domains or repository URLs it claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

/// The feed continues under another key. The entry is signed with both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// The publisher that continues the feed.
    pub next: PublisherId,
}

/// Joins the branches of a fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// Why the feed was forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Body {
    /// The name of its kind in the format.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Profile(_) => "profile",
            Self::Release(_) => "release",
            Self::Observation(_) => "observation",
            Self::Status(_) => "status",
            Self::Rotate(_) => "rotate",
            Self::Merge(_) => "merge",
            Self::Unknown { kind, .. } => kind,
        }
    }

    pub(crate) fn to_fields(&self) -> Result<Ipld, BodyError> {
        let bytes = match self {
            Self::Profile(profile) => canonical::to_vec(profile),
            Self::Release(release) => canonical::to_vec(release),
            Self::Observation(observation) => canonical::to_vec(observation),
            Self::Status(status) => canonical::to_vec(status),
            Self::Rotate(rotate) => canonical::to_vec(rotate),
            Self::Merge(merge) => canonical::to_vec(merge),
            Self::Unknown { fields, .. } => Ok(fields.clone()),
        }?;
        Ok(canonical::from_slice(&bytes)?)
    }

    pub(crate) fn from_fields(kind: &str, fields: &Ipld) -> Result<Self, BodyError> {
        let body = match kind {
            "profile" => Self::Profile(read(fields)?),
            "release" => Self::Release(Box::new(read(fields)?)),
            "observation" => Self::Observation(read(fields)?),
            "status" => Self::Status(read(fields)?),
            "rotate" => Self::Rotate(read(fields)?),
            "merge" => Self::Merge(read(fields)?),
            _ => Self::Unknown { kind: kind.to_owned(), fields: canonical::to_vec(fields)? },
        };
        Ok(body)
    }

    /// Checks every field against its bound.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn check(&self) -> Result<(), BodyError> {
        match self {
            Self::Profile(p) => {
                text("name", &p.name)?;
                optional("contact", p.contact.as_deref())?;
                texts("claims", &p.claims)
            }
            Self::Release(r) => r.check(),
            Self::Observation(o) => o.check(),
            Self::Status(s) => s.check(),
            Self::Rotate(_) => Ok(()),
            Self::Merge(m) => optional("reason", m.reason.as_deref()),
            Self::Unknown { kind, .. } => text("kind", kind),
        }
    }
}

/// Reads the fields that this version knows, and refuses any other spelling of them.
fn read<T: Serialize + DeserializeOwned>(fields: &Ipld) -> Result<T, CanonicalError> {
    let value: T = serde_ipld_dagcbor::from_slice(&canonical::to_vec(fields)?)?;
    let written: Ipld = canonical::from_slice(&canonical::to_vec(&value)?)?;
    if is_spelling_of(fields, &written) { Ok(value) } else { Err(CanonicalError::NotCanonical) }
}

/// Whether `given` is `written`, possibly with fields that this version does not know. An empty
/// field is left out, so null and empty lists or maps in its place are another spelling.
fn is_spelling_of(given: &Ipld, written: &Ipld) -> bool {
    let empty = |value: &Ipld| match value {
        Ipld::Null => true,
        Ipld::List(list) => list.is_empty(),
        Ipld::Map(map) => map.is_empty(),
        _ => false,
    };
    match (given, written) {
        (Ipld::Map(given), Ipld::Map(written)) => {
            written.iter().all(|(key, value)| {
                given.get(key).is_some_and(|given| is_spelling_of(given, value))
            }) && given.iter().all(|(key, value)| written.contains_key(key) || !empty(value))
        }
        (Ipld::List(given), Ipld::List(written)) => {
            given.len() == written.len()
                && given.iter().zip(written).all(|(g, w)| is_spelling_of(g, w))
        }
        _ => given == written,
    }
}

fn text(field: &'static str, value: &str) -> Result<(), BodyError> {
    if value.is_empty() || value.len() > MAX_TEXT || value.chars().any(char::is_control) {
        return Err(BodyError::Field(field));
    }
    Ok(())
}

fn optional(field: &'static str, value: Option<&str>) -> Result<(), BodyError> {
    value.map_or(Ok(()), |value| text(field, value))
}

fn texts(field: &'static str, values: &[String]) -> Result<(), BodyError> {
    if values.len() > MAX_ITEMS {
        return Err(BodyError::Field(field));
    }
    values.iter().try_for_each(|value| text(field, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, Ipld)]) -> Ipld {
        Ipld::Map(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[test]
    fn a_statement_has_one_spelling() {
        let name = ("name", Ipld::String("savers".into()));
        let kind = ("publisher_kind", Ipld::String("archivist".into()));
        let with = |field: (&str, Ipld)| {
            Body::from_fields("profile", &map(&[name.clone(), kind.clone(), field]))
        };
        assert!(with(("name", name.1.clone())).is_ok());
        assert!(
            with(("mood", Ipld::String("calm".into()))).is_ok(),
            "unknown fields are for later versions"
        );
        for (field, nothing) in
            [("contact", Ipld::Null), ("claims", Ipld::List(Vec::new())), ("mood", Ipld::Null)]
        {
            let result = with((field, nothing));
            assert_eq!(result, Err(BodyError::Encoding(CanonicalError::NotCanonical)), "{field}");
        }
    }
}
