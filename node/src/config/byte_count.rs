//! A number of bytes as users write it.

use std::str::FromStr;

use serde::Deserialize;

/// A positive number of bytes, written `65536`, `64KiB`, `10MiB`, `1GiB` or `2TiB` (`k`, `M`, `G`
/// and `T` mean the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct ByteCount(u64);

impl ByteCount {
    /// The number of bytes.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Why a text is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteCountError {
    /// The number is followed by something other than a unit.
    #[error("`{0}` is not a unit of bytes; write KiB, MiB, GiB or TiB")]
    Unit(String),
    /// The text does not begin with a number.
    #[error("`{0}` is not a number of bytes")]
    Number(String),
    /// The number is zero or too large.
    #[error("`{0}` is out of range")]
    Range(String),
}

impl FromStr for ByteCount {
    type Err = ByteCountError;

    fn from_str(text: &str) -> Result<Self, ByteCountError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            other => return Err(ByteCountError::Unit(other.to_owned())),
        };
        let number: u64 = number.parse().map_err(|_| ByteCountError::Number(text.to_owned()))?;
        number
            .checked_mul(1 << shift)
            .filter(|bytes| *bytes > 0)
            .map(ByteCount)
            .ok_or_else(|| ByteCountError::Range(text.to_owned()))
    }
}

impl TryFrom<toml::Value> for ByteCount {
    type Error = ByteCountError;

    fn try_from(value: toml::Value) -> Result<Self, ByteCountError> {
        match value {
            toml::Value::String(text) => text.parse(),
            toml::Value::Integer(number) => number.to_string().parse(),
            other => Err(ByteCountError::Number(other.to_string())),
        }
    }
}
