//! Deterministic CBOR: one value, one encoding (DAG-CBOR rules; the codec is `serde_ipld_dagcbor`).
//!
//! Owns encoding and decoding. Promises that bytes which decode also re-encode to themselves, so
//! that an id identifies a value. Callers bound the length of the input; memory follows it, never a
//! number inside it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not the one encoding of a value of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The codec refused them.
    #[error("not valid deterministic CBOR: {0}")]
    Decode(String),
    /// They decode, but the value has another encoding.
    #[error("not the one encoding of its value")]
    NotCanonical,
    /// The value cannot be written.
    #[error("cannot be encoded: {0}")]
    Encode(String),
}

impl<E: std::fmt::Debug> From<serde_ipld_dagcbor::DecodeError<E>> for CanonicalError {
    fn from(error: serde_ipld_dagcbor::DecodeError<E>) -> Self {
        Self::Decode(match error {
            // A message from a type about its own bytes is for people; the codec would print it as
            // a quoted string.
            serde_ipld_dagcbor::DecodeError::Msg(said) => said,
            other => other.to_string(),
        })
    }
}

/// The one encoding of a value.
///
/// # Errors
/// The value has no encoding, such as a float that is not finite.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    serde_ipld_dagcbor::to_vec(value).map_err(|e| CanonicalError::Encode(e.to_string()))
}

/// Reads a value whose fields are all known. Bytes with fields that `T` lacks are refused, because
/// they encode differently.
///
/// # Errors
/// The bytes do not decode, or are another encoding of the value.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    let value = serde_ipld_dagcbor::from_slice(bytes)?;
    if to_vec(&value)? == bytes { Ok(value) } else { Err(CanonicalError::NotCanonical) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_refused_value_is_reported_with_its_types_reason() {
        let error = from_slice::<std::num::NonZeroU8>(&[0]).unwrap_err().to_string();
        assert!(error.contains("nonzero u8") && !error.contains("Msg("), "{error}");
    }

    #[test]
    fn every_other_encoding_is_refused() {
        let map: BTreeMap<String, u64> =
            from_slice(&hex::decode("a2616101616202").unwrap()).unwrap();
        assert_eq!(map["b"], 2);
        let malformed = [
            "a261611801616202",  // overlong integer
            "a27801610161 6202", // overlong length (and a space, for hex)
            "a2616202616101",    // keys out of order
            "a2616101616102",    // a key twice
            "a261610161620200",  // a byte too many
            "bf616101616202ff",  // indefinite length
        ];
        for text in malformed {
            let bytes = hex::decode(text.replace(' ', "")).unwrap();
            assert!(from_slice::<BTreeMap<String, u64>>(&bytes).is_err(), "{text}");
        }
    }
}
