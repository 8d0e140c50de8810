//! The wire form of `Option<Holding>`: one of four words, with absence as `none` rather than null.

use perennial_manifest::Holding;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Bounded;

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    None,
    Known,
    Partial,
    Held,
}

impl From<Option<Holding>> for Word {
    fn from(holding: Option<Holding>) -> Self {
        match holding {
            None => Self::None,
            Some(Holding::Known | Holding::Invalid) => Self::Known,
            Some(Holding::Partial) => Self::Partial,
            Some(Holding::Held) => Self::Held,
        }
    }
}

impl From<Word> for Option<Holding> {
    fn from(word: Word) -> Self {
        match word {
            Word::None => None,
            Word::Known => Some(Holding::Known),
            Word::Partial => Some(Holding::Partial),
            Word::Held => Some(Holding::Held),
        }
    }
}

pub(super) fn serialize<S: Serializer, const N: usize>(
    holdings: &Bounded<Option<Holding>, N>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(holdings.iter().map(|holding| Word::from(*holding)))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<Bounded<Option<Holding>, N>, D::Error> {
    let words = Bounded::<Word, N>::deserialize(deserializer)?;
    Ok(Bounded::first_of(words.into_iter().map(Into::into)))
}
