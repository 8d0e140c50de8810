//! JSON objects as Go's readers take them: unknown fields are skipped, the last of several fields
//! of one name counts, and `null` is no value.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

/// The values of the fields asked for, unread. They cost no memory beyond the text.
pub(crate) struct Fields<'a, const N: usize>([Option<&'a RawValue>; N]);

impl<'a, const N: usize> Fields<'a, N> {
    /// Finds the fields of these names in an object.
    pub(crate) fn find(json: &'a [u8], names: [&str; N]) -> Result<Self, Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let found = Names(names).deserialize(&mut reader)?;
        reader.end()?;
        Ok(found)
    }

    /// Whether a field is there, perhaps as `null`.
    pub(crate) fn has(&self, at: usize) -> bool {
        self.0[at].is_some()
    }

    /// The value of a field; `None` if it is `null` or not there.
    pub(crate) fn get<T: Deserialize<'a>>(&self, at: usize) -> Result<Option<T>, Error> {
        self.0[at].map_or(Ok(None), |value| serde_json::from_str(value.get()))
    }

    /// The value of a field as it stands; `None` if it is `null` or not there.
    pub(crate) fn raw(&self, at: usize) -> Option<&'a [u8]> {
        self.0[at].map(|value| value.get().as_bytes()).filter(|value| *value != b"null")
    }
}

struct Names<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Names<'_, N> {
    type Value = Fields<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Names<'_, N> {
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.0.iter().position(|known| *known == name) {
                Some(at) => found[at] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Fields(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_field_of_a_name_counts_and_null_is_no_value() {
        let json = br#"{"a": [1], "x": {"a": 9}, "b": null, "a": 2, "c": "\u00e9"}"#;
        let fields = Fields::find(json, ["a", "b", "c", "d"]).unwrap();
        assert_eq!(fields.get::<u8>(0).unwrap(), Some(2));
        assert!(fields.has(1) && !fields.has(3));
        assert_eq!((fields.get::<u8>(1).unwrap(), fields.get::<u8>(3).unwrap()), (None, None));
        assert_eq!((fields.raw(0), fields.raw(1)), (Some(&b"2"[..]), None));
        assert!(fields.get::<u8>(2).is_err());
        assert_eq!(fields.get::<String>(2).unwrap().unwrap(), "\u{e9}");
        for odd in ["", "[]", "null", "{", r#"{"a": 1} x"#, "{\"a\": \"\u{1}\"}"] {
            assert!(Fields::find(odd.as_bytes(), ["a"]).is_err(), "{odd}");
        }
    }
}
