//! How a user refers to a publisher: by its id, or by the name given when following it.
//!
//! Owns the rule for such names. The store knows which publisher has one.

use std::fmt;
use std::str::FromStr;

use crate::{PublisherError, PublisherId, serde_as_text};

/// Longest name, in bytes.
const MAX_NAME: usize = 64;

/// The user's own name for a followed publisher: 1 to 64 bytes without whitespace and control
/// characters. It is not `all`, and it does not begin with `did:`, so it is never mistaken for a
/// publisher's id.
///
/// ```
/// use perennial_manifest::FollowName;
///
/// let name: FollowName = "kubesphere-savers".parse()?;
/// assert_eq!(name.as_str(), "kubesphere-savers");
/// for wrong in ["", "two words", "all", "did:key:z6Mk"] {
///     assert!(wrong.parse::<FollowName>().is_err());
/// }
/// # Ok::<(), perennial_manifest::FollowNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FollowName(String);

/// A text that cannot be the name of a followed publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a publisher's name has 1 to 64 bytes, no spaces, and is neither `all` nor a DID")]
pub struct FollowNameError;

impl FollowName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FollowName {
    type Err = FollowNameError;

    fn from_str(text: &str) -> Result<FollowName, FollowNameError> {
        let fits =
            (1..=MAX_NAME).contains(&text.len()) && text != "all" && !text.starts_with("did:");
        if fits && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            Ok(FollowName(text.to_owned()))
        } else {
            Err(FollowNameError)
        }
    }
}

impl From<FollowName> for String {
    fn from(name: FollowName) -> String {
        name.0
    }
}

serde_as_text!(FollowName, PublisherRef);

impl fmt::Display for FollowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A publisher as a user writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublisherRef {
    /// `did:key:…`.
    Id(PublisherId),
    /// The name given with `perennial follow --as`.
    Name(FollowName),
}

/// A text that does not refer to a publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublisherRefError {
    /// It begins like an id and is not one.
    #[error(transparent)]
    Id(#[from] PublisherError),
    /// It is neither an id nor a name.
    #[error(transparent)]
    Name(#[from] FollowNameError),
}

impl FromStr for PublisherRef {
    type Err = PublisherRefError;

    fn from_str(text: &str) -> Result<PublisherRef, PublisherRefError> {
        if text.starts_with("did:") {
            Ok(PublisherRef::Id(text.parse()?))
        } else {
            Ok(PublisherRef::Name(text.parse()?))
        }
    }
}

impl From<PublisherId> for PublisherRef {
    fn from(id: PublisherId) -> PublisherRef {
        PublisherRef::Id(id)
    }
}

impl fmt::Display for PublisherRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublisherRef::Id(id) => id.fmt(f),
            PublisherRef::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_in_64_bytes_without_spaces_and_is_not_mistaken_for_an_id() {
        for right in ["a", "kubesphere-savers", "Ärchiv", &"n".repeat(64)] {
            let name: FollowName = right.parse().unwrap();
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("{right:?}"));
        }
        let long = "n".repeat(65);
        for wrong in ["", "two words", "tab\tbed", "bell\u{7}", "all", "did:web:a.org", &long] {
            assert_eq!(wrong.parse::<FollowName>(), Err(FollowNameError), "{wrong:?}");
            let json = serde_json::to_string(wrong).unwrap();
            assert!(serde_json::from_str::<FollowName>(&json).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_publisher_is_an_id_or_a_name() {
        let id = crate::Keypair::from_seed([7; 32]).id();
        assert_eq!(id.to_string().parse(), Ok(PublisherRef::Id(id)));
        assert_eq!("savers".parse(), Ok(PublisherRef::Name("savers".parse().unwrap())));
        for wrong in ["", "all", "did:key:z6Mk", "did:web:example.org", "two words"] {
            assert!(wrong.parse::<PublisherRef>().is_err(), "{wrong:?}");
        }
    }
}
