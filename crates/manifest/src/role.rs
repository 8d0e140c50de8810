//! The purpose of an artifact: one word of a fixed list.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The purpose of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of DESIGN, section 4, say what they are")]
pub enum Role {
    Source,
    Binary,
    ImageIndex,
    ImageManifest,
    ImageConfig,
    ImageLayer,
    Chart,
    Package,
    Index,
    Signature,
    Sbom,
    Checksums,
    Licence,
    Doc,
}

impl Role {
    /// The word used in data and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Binary => "binary",
            Self::ImageIndex => "image-index",
            Self::ImageManifest => "image-manifest",
            Self::ImageConfig => "image-config",
            Self::ImageLayer => "image-layer",
            Self::Chart => "chart",
            Self::Package => "package",
            Self::Index => "index",
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Checksums => "checksums",
            Self::Licence => "licence",
            Self::Doc => "doc",
        }
    }

    /// All roles.
    pub const ALL: [Self; 14] = [
        Self::Source,
        Self::Binary,
        Self::ImageIndex,
        Self::ImageManifest,
        Self::ImageConfig,
        Self::ImageLayer,
        Self::Chart,
        Self::Package,
        Self::Index,
        Self::Signature,
        Self::Sbom,
        Self::Checksums,
        Self::Licence,
        Self::Doc,
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not one of the words for [`Role`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role; roles are {known}", known = Role::ALL.map(Role::as_str).join(", "))]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| RoleError(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_answered_with_the_valid_ones() {
        assert!(Role::ALL.into_iter().all(|role| role.as_str().parse() == Ok(role)));
        let error = "licenze".parse::<Role>().unwrap_err().to_string();
        assert!(
            error.starts_with("\"licenze\" is not a role; roles are source, binary,"),
            "{error}"
        );
    }
}
