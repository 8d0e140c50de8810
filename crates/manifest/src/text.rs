//! Types whose encoding is their text.

/// Implements serde's traits for types by their [`FromStr`](std::str::FromStr) and
/// [`Display`](std::fmt::Display): the value is a string, in JSON and in the canonical encoding.
#[doc(hidden)]
#[macro_export]
macro_rules! serde_as_text {
    ($($name:ty),+) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_string())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    )+};
}
