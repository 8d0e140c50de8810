//! The releases that a name can mean, found by the terms of the index.
//!
//! Promises that the cost grows with the releases of that name, or of that name and version if one
//! is given, not with all that are known.

use std::collections::BTreeSet;

use perennial_manifest::{EntryId, Purl, Selector};

use super::Catalog;
use super::releases::{ReleaseFilter, ReleaseRow};
use crate::error::StoreError;
use crate::rows;

/// Entries looked at whose ids begin with the digits given.
const IDS: usize = 64;
/// Rows visited for the releases of the same name, and again for names that begin as it does.
const RESEMBLING: usize = 1024;
/// Bytes that a typing error is taken to have left right, at the beginning of a name.
const RIGHT: usize = 2;

/// The names nearest to one that means nothing.
struct Near<'a> {
    selector: &'a Selector,
    limit: usize,
    ranked: BTreeSet<(u8, Purl)>,
}

impl Near<'_> {
    /// Takes a name if it is near. Returns whether it is.
    fn take(&mut self, purl: &str) -> bool {
        let Ok(purl) = Purl::parse(purl) else { return false };
        let Some(rank) = self.selector.nearness(&purl) else { return false };
        self.ranked.insert((rank, purl));
        if self.ranked.len() > self.limit {
            self.ranked.pop_last();
        }
        true
    }
}

impl Catalog<'_> {
    /// The releases that a selector matches, ordered by name.
    pub(super) fn named(
        &self,
        selector: &Selector,
        filter: &ReleaseFilter,
    ) -> Result<Vec<ReleaseRow>, StoreError> {
        let mut ordinal = None;
        if let Some(publisher) = &filter.publisher {
            let Some(known) = self.publisher(publisher)? else { return Ok(Vec::new()) };
            ordinal = Some(known.ordinal);
        }
        let most = if filter.limit == 0 { usize::MAX } else { filter.limit };
        // Only the row itself tells the state.
        let most_keys = if filter.state.is_some() { usize::MAX } else { most };
        let mut left = if filter.looked_at == 0 { usize::MAX } else { filter.looked_at };
        let mut keys = BTreeSet::new();
        for (name, version) in selector.names() {
            let prefix = match version {
                Some(version) => rows::rows_of_version(name, &version, ordinal),
                None => rows::rows_of_term(&rows::name_term(name), ordinal),
            };
            self.index.walk(&prefix, &prefix, &mut |key, purl| {
                if let Ok(purl) = std::str::from_utf8(purl)
                    && Purl::parse(purl).is_ok_and(|purl| selector.matches(&purl))
                {
                    let place = rows::place_of_release(key);
                    keys.extend(place.map(|place| rows::release(purl, place)));
                }
                left -= 1;
                left > 0 && keys.len() < most_keys
            })?;
            if left == 0 {
                break;
            }
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let mut found = self.rows(&keys)?;
        if let Selector::ReleasePrefix(digits) = selector {
            found.extend(self.with_id(digits)?);
        }
        found.retain(|row| {
            filter.publisher.is_none_or(|publisher| publisher == row.publisher)
                && filter.state.is_none_or(|state| state == row.state)
        });
        found.truncate(most);
        Ok(found)
    }

    /// The releases whose ids begin with these digits.
    fn with_id(&self, digits: &str) -> Result<Vec<ReleaseRow>, StoreError> {
        let digits = digits.to_ascii_lowercase();
        let pairs = digits.as_bytes().chunks_exact(2);
        let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let Some(prefix) = bytes.collect::<Option<Vec<u8>>>() else { return Ok(Vec::new()) };
        let ids = self.blobs.entries_with(&prefix, IDS)?;
        let ids = ids.into_iter().map(EntryId::from_bytes);
        let ids = ids.filter(|id| id.to_hex().starts_with(&digits));
        let rows = ids.map(|id| self.release(&id.into()));
        Ok(rows.collect::<Result<Vec<_>, StoreError>>()?.into_iter().flatten().collect())
    }

    /// At most `limit` names that are nearest to one that means nothing. Those that begin otherwise
    /// are looked for among this many packages.
    pub(crate) fn near(
        &self,
        selector: &Selector,
        limit: usize,
        packages: usize,
    ) -> Result<Vec<Purl>, StoreError> {
        let Some(word) = selector.word() else { return Ok(Vec::new()) };
        let mut near = Near { selector, limit, ranked: BTreeSet::new() };
        let term = rows::name_term(word);
        let beginning = rows::beginning(&term, RIGHT);
        for prefix in [rows::rows_of_term(&term, None), rows::term_prefix(beginning)] {
            let mut left = RESEMBLING;
            self.index.walk(&prefix, &prefix, &mut |_, purl| {
                near.take(std::str::from_utf8(purl).unwrap_or_default());
                left -= 1;
                left > 0
            })?;
        }
        let mut from = b"R".to_vec();
        for _ in 0..packages {
            let mut package = String::new();
            self.index.walk(b"R", &from, &mut |key, _| {
                let Some(purl) = rows::purl_of(key) else { return true };
                let of = purl.split('@').next().unwrap_or_default();
                if package.is_empty() {
                    of.clone_into(&mut package);
                }
                // All versions of a name that is near are compared, one of any other.
                of == package && near.take(purl)
            })?;
            if package.is_empty() {
                break;
            }
            from = [b"R", package.as_bytes(), b"@\xff"].concat();
        }
        Ok(near.ranked.into_iter().map(|(_, purl)| purl).collect())
    }
}
