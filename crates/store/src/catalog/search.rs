//! Search for releases by parts of their names, versions and registries, by the names of their
//! files, and by digests.
//!
//! The index has the words. Releases are found by the beginning of the rarest word of the query
//! first, at a cost that does not grow with their number, then by the inside of words, at a cost
//! that is bounded.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{Name, Purl, Selector, Sha256Digest};

use super::Catalog;
use super::releases::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::rows;

/// Rows of one word that a scan walks past before it jumps to the next word.
const ROWS: usize = 8;

/// Places of releases with their purls.
type Places = BTreeMap<Vec<u8>, String>;

/// Words of a query, at most; more are not looked at.
const WORDS: usize = 8;
/// Runs of letters and digits that are counted of one word, at most: the longest.
const RUNS: usize = 4;

/// A part of a query, between spaces.
struct Word {
    /// In lower case, `:` for `@`.
    text: String,
    /// The same as a name that a user gives.
    name: Option<Name>,
    /// Its runs of letters and digits, each of which is part of a word in the index.
    runs: Vec<String>,
}

impl Word {
    fn parse(text: &str) -> Self {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
        let lower = text.to_lowercase();
        // The type of a package URL is not in the index.
        let indexed = lower.strip_prefix("pkg:").and_then(|rest| rest.split_once('/'));
        let mut runs = rows::words(indexed.map_or(lower.as_str(), |(_, rest)| rest));
        runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
        Self { name: Name::parse(text).ok(), text: lower.replace('@', ":"), runs }
    }

    /// Whether it occurs in the name of a release, which is also given as texts to look in.
    fn names(&self, purl: &Purl, texts: &[String]) -> bool {
        texts.iter().any(|text| text.contains(&self.text))
            || self.name.as_ref().is_some_and(|name| name.matches(purl))
    }
}

/// The bounds of a search, in rows and in releases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Rows counted of one word, when looking for the rarest.
    counted: usize,
    /// Releases compared with the whole query, for each one asked for.
    compared: usize,
    /// Rows visited whose words begin as the query says, and may not fit otherwise.
    visited: usize,
    /// Rows visited to find a word by its inside, if none is found by a beginning.
    scanned: usize,
    /// Lists read to find a path.
    lists: usize,
}

impl Bounds {
    /// For the user of this node.
    pub(crate) const WIDE: Self =
        Self { counted: 1024, compared: 16, visited: 50_000, scanned: 50_000, lists: 64 };
    /// For questions of strangers: of many words, only the beginnings count.
    pub(crate) const NARROW: Self =
        Self { counted: 64, compared: 1, visited: 1000, scanned: 1000, lists: 2 };
}

impl Catalog<'_> {
    /// Releases in which all words of `text` occur, at most `limit`.
    pub(crate) fn search(
        &self,
        text: &str,
        limit: usize,
        bounds: Bounds,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut found = self.meant(text.trim(), limit, bounds)?;
        let words: Vec<Word> = text.split_whitespace().take(WORDS).map(Word::parse).collect();
        let compared = limit.saturating_mul(bounds.compared).max(bounds.counted);
        let bounds = Bounds { compared, ..bounds };
        let mut keys = self.matches(&words, Bounds { scanned: 0, ..bounds })?;
        // Looking inside words visits very many rows: only if no beginning of a word led anywhere.
        if keys.is_empty() && bounds.scanned > 0 {
            keys = self.matches(&words, bounds)?;
        }
        let known: BTreeSet<_> = found.iter().map(|row| row.release).collect();
        let keys: Vec<_> = keys.into_iter().take(limit).collect();
        found.extend(self.rows(&keys)?.into_iter().filter(|row| !known.contains(&row.release)));
        found.truncate(limit);
        Ok(found)
    }

    /// The keys of the releases in which all words occur.
    fn matches(&self, words: &[Word], bounds: Bounds) -> Result<BTreeSet<Vec<u8>>, StoreError> {
        let mut keys = BTreeSet::new();
        let Some((best, run)) = self.rarest(words, bounds.counted)? else { return Ok(keys) };
        let files = words.iter().map(|word| self.files_named(word, bounds));
        let files = files.collect::<Result<Vec<Places>, StoreError>>()?;
        let mut places = self.places(b'T', run, bounds, &|_| true)?;
        places.extend(files[best].clone());
        for (place, purl) in &places {
            let Ok(parsed) = Purl::parse(purl) else { continue };
            let texts = [purl.to_lowercase(), Name::shortest(&parsed).to_lowercase()]
                .map(|text| text.replace('@', ":"));
            let all = words
                .iter()
                .zip(&files)
                .all(|(word, files)| word.names(&parsed, &texts) || files.contains_key(place));
            if all {
                keys.insert(rows::release(purl, place));
            }
        }
        Ok(keys)
    }

    /// The releases that the text as a whole names: by id, by a digest of a file, by package URL.
    fn meant(
        &self,
        text: &str,
        limit: usize,
        bounds: Bounds,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let Ok(selector) = text.parse::<Selector>() else { return Ok(Vec::new()) };
        let digest = match &selector {
            // Digests are also written without the name of their algorithm.
            Selector::Release(id) => Some(Sha256Digest::from_bytes(*id.entry().as_bytes())),
            selector => selector.sha256(),
        };
        let mut found = Vec::new();
        if !matches!(selector, Selector::Name(_)) {
            let (selector, looked_at) = (Some(selector), bounds.visited);
            let filter = ReleaseFilter { selector, limit, looked_at, ..ReleaseFilter::default() };
            found = self.releases(&filter)?;
        }
        if let Some(digest) = digest {
            found.extend(self.with_digest(&digest, limit)?);
        }
        Ok(found)
    }

    /// Releases whose list has a file with this SHA-256.
    pub(crate) fn with_digest(
        &self,
        digest: &Sha256Digest,
        limit: usize,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let prefix = rows::file_digest(digest.as_bytes(), &[]);
        let mut places = Places::new();
        self.index.walk(&prefix, &prefix, &mut |key, purl| {
            take(&mut places, key, purl);
            places.len() < limit
        })?;
        let keys: Vec<_> = places.iter().map(|(place, purl)| rows::release(purl, place)).collect();
        self.rows(&keys)
    }

    /// The releases with more files than are found by their digests.
    pub(crate) fn large_releases(&self) -> Result<Vec<ReleaseRow>, StoreError> {
        let mut places = Places::new();
        self.index.walk(b"G", b"G", &mut |key, purl| {
            take(&mut places, key, purl);
            true
        })?;
        let keys: Vec<_> = places.iter().map(|(place, purl)| rows::release(purl, place)).collect();
        self.rows(&keys)
    }

    /// The releases that have a file in whose name a word occurs, or, if it has a `/`, at whose
    /// path it does.
    fn files_named(&self, word: &Word, bounds: Bounds) -> Result<Places, StoreError> {
        if let Some((_, file)) = word.text.rsplit_once('/') {
            let Some(run) = rows::words(file).into_iter().max_by_key(String::len) else {
                return Ok(Places::new());
            };
            let places = self.places(b'N', &run, bounds, &|name| name.starts_with(file))?;
            return self.with_path(places, &word.text, bounds);
        }
        let Some(run) = word.runs.first() else {
            return Ok(Places::new());
        };
        self.places(b'N', run, bounds, &|file| file.contains(&word.text))
    }

    /// Of these releases, those with a path in which a part begins with this text. The index has
    /// the last parts only, so the lists are read, as far as they are here.
    fn with_path(&self, places: Places, text: &str, bounds: Bounds) -> Result<Places, StoreError> {
        let inside = format!("/{text}");
        let mut found = Places::new();
        for (place, purl) in places.into_iter().take(bounds.lists) {
            let Some(row) = self.rows(&[rows::release(&purl, &place)])?.into_iter().next() else {
                continue;
            };
            let list = match self.artifact_list(&row.release) {
                // A damaged list says nothing; others still may.
                Err(StoreError::Corrupt { .. } | StoreError::Format { .. }) => None,
                other => other?,
            };
            let mut files = list.iter().flat_map(|list| list.iter());
            let is_there = files.any(|file| {
                let path = format!("/{}", file.path.as_str().to_lowercase());
                path.replace('@', ":").contains(&inside)
            });
            if is_there {
                found.insert(place, purl);
            }
        }
        Ok(found)
    }

    /// The releases at a word of a table that holds `run` and fits: by its beginning first.
    fn places(
        &self,
        table: u8,
        run: &str,
        bounds: Bounds,
        fits: &dyn Fn(&str) -> bool,
    ) -> Result<Places, StoreError> {
        let mut places = Places::new();
        let prefix = [&[table], run.as_bytes()].concat();
        let mut visited = 0;
        self.index.walk(&prefix, &prefix, &mut |key, purl| {
            if rows::word_of(key).is_some_and(fits) {
                take(&mut places, key, purl);
            }
            visited += 1;
            visited < bounds.visited && places.len() < bounds.compared
        })?;
        let (mut from, mut left) = (vec![table], bounds.scanned);
        while places.len() < bounds.compared {
            let (mut word, mut rows, mut holds, mut ended) = (String::new(), 0, false, true);
            self.index.walk(&[table], &from, &mut |key, purl| {
                let Some(of_key) = rows::word_of(key) else { return true };
                if of_key != word {
                    of_key.clone_into(&mut word);
                    (rows, holds) = (0, of_key.contains(run) && fits(of_key));
                }
                (rows, left) = (rows + 1, left.saturating_sub(1));
                if holds {
                    take(&mut places, key, purl);
                }
                // Most rows of a word are passed over by beginning again at the next one.
                ended = holds || rows < ROWS;
                ended && left > 0 && places.len() < bounds.compared
            })?;
            if ended || left == 0 {
                break;
            }
            from = [&[table], word.as_bytes(), &[1]].concat();
        }
        Ok(places)
    }

    /// The run of letters and digits that begins the fewest words, with the index of its word:
    /// walking the rows of one that begins nearly every name would visit all of them. One that
    /// begins no word comes last.
    fn rarest<'a>(
        &self,
        words: &'a [Word],
        most: usize,
    ) -> Result<Option<(usize, &'a str)>, StoreError> {
        let mut counted = Vec::new();
        for (at, word) in words.iter().enumerate() {
            for run in word.runs.iter().take(RUNS) {
                let mut rows = 0;
                for table in [b'T', b'N'] {
                    let prefix = [&[table], run.as_bytes()].concat();
                    self.index.walk(&prefix, &prefix, &mut |_, _| {
                        rows += 1;
                        rows < most
                    })?;
                }
                let rank = (rows == 0, rows, usize::MAX - run.len());
                counted.push((rank, at, run.as_str()));
            }
        }
        let rarest = counted.into_iter().min_by_key(|(rank, ..)| *rank);
        Ok(rarest.map(|(_, at, run)| (at, run)))
    }
}

fn take(places: &mut Places, key: &[u8], purl: &[u8]) {
    if let (Some(place), Ok(purl)) = (rows::place_of_release(key), std::str::from_utf8(purl)) {
        places.insert(place.to_vec(), purl.to_owned());
    }
}
