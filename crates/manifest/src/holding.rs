//! How much of a release a node holds.
//!
//! Owns the words for it that the store, the wire, the control socket and `--json` share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much of a release a node holds. Ordered: more bytes compare greater.
///
/// ```
/// use perennial_manifest::Holding;
///
/// assert_eq!("partial".parse(), Ok(Holding::Partial));
/// assert!(Holding::Known < Holding::Held);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holding {
    /// Nothing, and nothing to be had: its artifact list is not what its publisher says of it.
    Invalid,
    /// Only the signed statement.
    Known,
    /// Some of the bytes.
    Partial,
    /// Every byte, verified on arrival.
    Held,
}

impl Holding {
    /// Whether bytes are missing that peers may have.
    #[must_use]
    pub const fn is_wanting(self) -> bool {
        matches!(self, Self::Known | Self::Partial)
    }
}

/// A text that is not one of the words for [`Holding`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not `held`, `partial`, `known` or `invalid`")]
pub struct HoldingError(String);

impl Holding {
    /// The word for it, as `--json` prints it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Known => "known",
            Self::Partial => "partial",
            Self::Held => "held",
        }
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` and not `write_str`: lists print it in columns.
        f.pad(self.as_str())
    }
}

impl FromStr for Holding {
    type Err = HoldingError;

    fn from_str(text: &str) -> Result<Self, HoldingError> {
        match text {
            "invalid" => Ok(Self::Invalid),
            "known" => Ok(Self::Known),
            "partial" => Ok(Self::Partial),
            "held" => Ok(Self::Held),
            other => Err(HoldingError(other.chars().take(100).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holding_has_one_word_everywhere() {
        for holding in [Holding::Invalid, Holding::Known, Holding::Partial, Holding::Held] {
            assert_eq!(holding.to_string().parse(), Ok(holding));
            let bytes = crate::canonical::to_vec(&holding).unwrap();
            assert_eq!(crate::canonical::from_slice::<String>(&bytes).unwrap(), holding.as_str());
        }
        assert!("Held".parse::<Holding>().is_err());
        assert_eq!(format!("{:<7}|", Holding::Held), "held   |");
    }
}
