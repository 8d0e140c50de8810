//! A number of bytes as people write it.

use std::str::FromStr;

use serde::Deserialize;

/// A number of bytes that is not zero, written `65536`, `64KiB`, `10MiB` or `1GiB` (`k`, `M`, `G` mean the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct ByteCount(u64);

impl ByteCount {
    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            other => {
                return Err(format!("`{other}` is not a unit of bytes; write KiB, MiB or GiB"));
            }
        };
        let number: u64 =
            number.parse().map_err(|_| format!("`{text}` is not a number of bytes"))?;
        number
            .checked_mul(1 << shift)
            .filter(|bytes| *bytes > 0)
            .map(ByteCount)
            .ok_or_else(|| format!("`{text}` is out of range"))
    }
}

impl TryFrom<toml::Value> for ByteCount {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => text.parse(),
            toml::Value::Integer(number) => number.to_string().parse(),
            other => Err(format!("{other} is not a number of bytes")),
        }
    }
}
