//! Search for releases by words of their names: walks the rows of one word, and compares the others
//! with the purl found there.

use super::Catalog;
use super::releases::ReleaseRow;
use crate::error::StoreError;
use crate::rows;

/// Most rows counted per word when looking for the rarest.
const COUNTED: usize = 1024;

impl Catalog<'_> {
    /// Releases whose namespace and name have all the words of `text`, the last one as a prefix.
    pub(crate) fn search(&self, text: &str, limit: usize) -> Result<Vec<ReleaseRow>, StoreError> {
        let words = rows::words(text);
        let Some(rarest) = self.rarest(&words)? else { return Ok(Vec::new()) };
        let mut places = Vec::new();
        let prefix = rows::term_prefix(rarest);
        self.index.walk(&prefix, &prefix, &mut |key, purl| {
            let Ok(text) = std::str::from_utf8(purl) else { return true };
            // Most are in lower case already, and there may be very many.
            let lower = text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
            let lower = lower.then(|| text.to_lowercase());
            let lower = lower.as_deref().unwrap_or(text);
            if words.iter().all(|word| lower.contains(word.as_str())) {
                places.extend(rows::place_of_term(key).map(|place| rows::release(text, place)));
            }
            places.len() < limit.max(1) * 4
        })?;
        places.sort();
        places.dedup();
        places.truncate(limit);
        self.rows(&places)
    }

    /// The rarest of the words: walking the rows of a word that begins nearly every name would
    /// visit all of them.
    fn rarest<'a>(&self, words: &'a [String]) -> Result<Option<&'a String>, StoreError> {
        let mut best: Option<(usize, &String)> = None;
        for word in words {
            let (prefix, mut rows) = (rows::term_prefix(word), 0);
            self.index.walk(&prefix, &prefix, &mut |_, _| {
                rows += 1;
                rows < COUNTED
            })?;
            if best.is_none_or(|(fewest, other)| {
                rows < fewest || (rows == fewest && word.len() > other.len())
            }) {
                best = Some((rows, word));
            }
        }
        Ok(best.map(|(_, word)| word))
    }
}
