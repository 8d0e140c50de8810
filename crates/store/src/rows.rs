//! Keys and values of the index (FORMAT.md, "Index"): one letter for the table, then fields in
//! order.

use std::collections::BTreeSet;

use perennial_manifest::{
    Artifact, ArtifactList, ArtifactListRef, BlobId, ContentId, EntryId, FeedState, Holding,
    PublisherId, PublisherKind, Purl, ReleaseId, Role,
};
use serde::{Deserialize, Serialize};

use crate::index_trait::Change;
use crate::state::Kept;

/// `P publisher` → its ordinal in the other tables, and its feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublisherValue {
    pub(crate) ordinal: u32,
    pub(crate) feed: FeedState,
    /// The kind in its newest profile.
    pub(crate) kind: Option<PublisherKind>,
}

/// `R purl 0 ordinal seq id` → the release. 8 bytes of the id tell the sides of a fork apart. The
/// fields have fixed lengths, because a list reads very many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseValue {
    pub(crate) state: Holding,
    pub(crate) held_bytes: u64,
    pub(crate) seq: u64,
    pub(crate) issued_at: u64,
    pub(crate) release: ReleaseId,
    /// The bytes of its id: checking that they are a key would dominate the cost of a list.
    pub(crate) publisher: [u8; 32],
    pub(crate) artifacts: ArtifactListRef,
    /// Unix seconds by this node's clock when the entry was indexed; missing in rows of old.
    pub(crate) arrived: Option<u64>,
    /// The content of its list, once that was here.
    pub(crate) content: Option<ContentId>,
}

impl ReleaseValue {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let state = match self.state {
            Holding::Known => 0,
            Holding::Partial => 1,
            Holding::Held => 2,
            Holding::Invalid => 3,
        };
        let mut bytes = vec![state];
        let artifacts = &self.artifacts;
        for number in [self.held_bytes, self.seq, self.issued_at, artifacts.bytes, artifacts.size] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&artifacts.count.to_be_bytes());
        for id in [self.release.as_bytes(), &self.publisher, artifacts.blob.as_bytes()] {
            bytes.extend_from_slice(id);
        }
        bytes.extend(self.arrived.unwrap_or_default().to_be_bytes());
        bytes.extend(self.content.iter().flat_map(|content| content.as_bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let state = match bytes.first()? {
            0 => Holding::Known,
            1 => Holding::Partial,
            2 => Holding::Held,
            3 => Holding::Invalid,
            _ => return None,
        };
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let id = |at: usize| <[u8; 32]>::try_from(bytes.get(at..at + 32)?).ok();
        Some(Self {
            state,
            held_bytes: number(1)?,
            seq: number(9)?,
            issued_at: number(17)?,
            release: EntryId::from_bytes(id(45)?).into(),
            publisher: id(77)?,
            artifacts: ArtifactListRef {
                bytes: number(25)?,
                size: number(33)?,
                count: u32::from_be_bytes(bytes.get(41..45)?.try_into().ok()?),
                blob: BlobId::from_bytes(id(109)?),
            },
            arrived: number(141).filter(|arrived| *arrived != 0),
            content: id(149).map(ContentId::from_bytes),
        })
    }
}

/// A number as a value.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn publisher(id: &PublisherId) -> Vec<u8> {
    [b"P", &id.as_bytes()[..]].concat()
}

/// `F ordinal seq entry` → `issued_at`, and the purl of a release: leads from a feed to its
/// releases.
pub(crate) fn feed(ordinal: u32, seq: u64, id: &EntryId) -> Vec<u8> {
    [&feed_at(ordinal, seq)[..], id.as_bytes()].concat()
}

pub(crate) fn feed_value(issued_at: u64, purl: &str) -> Vec<u8> {
    [&issued_at.to_be_bytes()[..], purl.as_bytes()].concat()
}

pub(crate) fn feed_at(ordinal: u32, seq: u64) -> Vec<u8> {
    [&feed_of(ordinal)[..], &seq.to_be_bytes()].concat()
}

pub(crate) fn feed_of(ordinal: u32) -> Vec<u8> {
    [b"F", &ordinal.to_be_bytes()[..]].concat()
}

/// A row of a feed.
pub(crate) struct FeedRow<'a> {
    pub(crate) seq: u64,
    pub(crate) id: EntryId,
    pub(crate) issued_at: u64,
    /// Empty if the entry does not state a release.
    pub(crate) purl: &'a str,
}

pub(crate) fn read_feed<'a>(key: &[u8], value: &'a [u8]) -> Option<FeedRow<'a>> {
    let (issued_at, purl) = value.split_at_checked(8)?;
    Some(FeedRow {
        seq: u64::from_be_bytes(key.get(5..13)?.try_into().ok()?),
        id: EntryId::from_bytes(key.get(13..45)?.try_into().ok()?),
        issued_at: u64::from_be_bytes(issued_at.try_into().ok()?),
        purl: std::str::from_utf8(purl).ok()?,
    })
}

pub(crate) fn release(purl: &str, place: &[u8]) -> Vec<u8> {
    [b"R", purl.as_bytes(), &[0], place].concat()
}

/// The purl of a release key.
pub(crate) fn purl_of(key: &[u8]) -> Option<&str> {
    let end = key.len().checked_sub(PLACE + 1)?;
    std::str::from_utf8(key.get(1..end)?).ok()
}

/// Bytes of a term, at most.
const WORD: usize = 64;
/// Bytes of a place: ordinal, seq, the first bytes of the id.
const PLACE: usize = 4 + 8 + 8;

/// The place of an entry among all: its publisher's ordinal, its seq, and 8 bytes of its id.
pub(crate) fn place(ordinal: u32, seq: u64, id: &EntryId) -> Vec<u8> {
    [&ordinal.to_be_bytes()[..], &seq.to_be_bytes(), &id.as_bytes()[..8]].concat()
}

/// `T term 0 place` → the purl.
pub(crate) fn term(term: &str, place: &[u8]) -> Vec<u8> {
    [b"T", term.as_bytes(), &[0], place].concat()
}

/// The rows of the terms that begin with a text.
pub(crate) fn term_prefix(beginning: &str) -> Vec<u8> {
    [b"T", beginning.as_bytes()].concat()
}

/// The rows of one term, of all publishers or of one.
pub(crate) fn rows_of_term(term: &str, ordinal: Option<u32>) -> Vec<u8> {
    let mut prefix = [b"T", term.as_bytes(), &[0]].concat();
    prefix.extend(ordinal.into_iter().flat_map(u32::to_be_bytes));
    prefix
}

/// `U name 0 version place` → the purl: the releases of one name and version. `version` is the
/// beginning of its BLAKE3.
pub(crate) fn version(name: &str, version: &str, place: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(version.as_bytes());
    [b"U", name_term(name).as_bytes(), &[0], &hash.as_bytes()[..8], place].concat()
}

/// The rows of one name and version, of all publishers or of one.
pub(crate) fn rows_of_version(name: &str, of: &str, ordinal: Option<u32>) -> Vec<u8> {
    let mut prefix = version(name, of, &[]);
    prefix.extend(ordinal.into_iter().flat_map(u32::to_be_bytes));
    prefix
}

/// `N file 0 place` → the purl. The name of a file of a release, in lower case.
pub(crate) fn file_name(name: &str, place: &[u8]) -> Vec<u8> {
    [b"N", name.as_bytes(), &[0], place].concat()
}

/// `D sha256 place` → the purl of a release whose list has a file with this digest.
pub(crate) fn file_digest(sha256: &[u8; 32], place: &[u8]) -> Vec<u8> {
    [b"D", &sha256[..], place].concat()
}

/// The word of a key of the tables `T` and `N`.
pub(crate) fn word_of(key: &[u8]) -> Option<&str> {
    let end = key.len().checked_sub(PLACE + 1)?;
    std::str::from_utf8(key.get(1..end)?).ok()
}

/// The place of the release in a key that ends with it.
pub(crate) fn place_of_release(key: &[u8]) -> Option<&[u8]> {
    key.get(key.len().checked_sub(PLACE)?..)
}

/// `G place` → the purl of a release with more files than are found by their digests.
pub(crate) fn large(place: &[u8]) -> Vec<u8> {
    [b"G", place].concat()
}

/// `W release` → the key of a release of a followed publisher that is not held.
pub(crate) fn wanted(release: &ReleaseId) -> Vec<u8> {
    [b"W", &release.as_bytes()[..]].concat()
}

/// `V release` → as `W`: of those, the releases of publishers followed by name, where all are
/// followed.
pub(crate) fn wanted_first(release: &ReleaseId) -> Vec<u8> {
    [b"V", &release.as_bytes()[..]].concat()
}

/// The rows under `W` and `V` of a release, `wanting` if bytes of it are missing that peers may
/// have. `key`: its row.
pub(crate) fn wants(release: &ReleaseId, key: &[u8], kept: Kept, wanting: bool) -> [Change; 2] {
    let row = |is: bool, at: Vec<u8>| match is && wanting {
        true => Change::Put(at, key.to_vec()),
        false => Change::Remove(at),
    };
    [row(kept != Kept::Not, wanted(release)), row(kept == Kept::First, wanted_first(release))]
}

/// `L sha256` → the BLAKE3 of a large blob.
pub(crate) fn large_sha256(sha256: &[u8; 32]) -> Vec<u8> {
    [b"L", &sha256[..]].concat()
}

/// How many entries of the packs a rebuild could not take in.
pub(crate) const SKIPPED: &[u8] = b"M-skipped";
/// How many entries the index has.
pub(crate) const ENTRIES: &[u8] = b"M-entries";
/// The ordinal of the next new publisher. Missing in indexes of old: it is the number of
/// publishers.
pub(crate) const ORDINALS: &[u8] = b"M-ordinals";
/// The releases in numbers (`Tally`). Missing in indexes of old, until they are opened.
pub(crate) const TALLY: &[u8] = b"M-tally";

/// The releases of one publisher in numbers, beside [`TALLY`].
pub(crate) fn tally_of(publisher: &[u8; 32]) -> Vec<u8> {
    [TALLY, publisher].concat()
}

/// The version of this schema.
pub(crate) const SCHEMA: &[u8] = b"M-schema";
/// The value of [`SCHEMA`].
pub(crate) const SCHEMA_VERSION: &[u8] = b"8";
/// BLAKE3 of the follows that the `W` table was made for.
pub(crate) const FOLLOWS: &[u8] = b"M-follows";

/// The words that find a release: those of its namespace and name; and its name, its version and
/// its repository, each as a whole.
pub(crate) fn terms(purl: &Purl) -> BTreeSet<String> {
    let text = format!("{} {}", purl.namespace().unwrap_or_default(), purl.name());
    let mut terms = words(&text);
    terms.truncate(16);
    let whole = [purl.version(), purl.repository()].into_iter().flatten();
    terms.extend(whole.map(str::to_lowercase).filter(|text| text.len() <= WORD));
    terms.into_iter().chain([name_term(purl.name())]).collect()
}

/// The term under which all releases of one name lie, whatever its case: the beginning of a long
/// one.
pub(crate) fn name_term(name: &str) -> String {
    beginning(&name.to_lowercase(), WORD).to_owned()
}

/// As many whole characters of a text as fit into `bytes`.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// Files of a release by whose names and digests it is found, at most. Those of large trees are
/// still found by the release.
const FILES: usize = 256;

/// The rows that find a release by its files.
pub(crate) fn of_files(list: &ArtifactList, place: &[u8], purl: &str) -> Vec<Change> {
    let digests = most_asked(list).take(FILES);
    let digests = digests.map(|file| file_digest(file.sha256.as_bytes(), place));
    let names = list.iter().map(|file| file.path.file_name().to_lowercase());
    // Files of images are named after their digests.
    let named = names.filter(|name| !name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let names: BTreeSet<String> = named.take(FILES).collect();
    let keys = digests.chain(names.iter().map(|name| file_name(name, place)));
    let keys = keys.chain((list.len() > FILES).then(|| large(place)));
    keys.map(|key| Change::Put(key, purl.as_bytes().to_vec())).collect()
}

/// A file by which the releases that have a list are found.
pub(crate) fn first_file(list: &ArtifactList) -> Option<&Artifact> {
    most_asked(list).next()
}

/// The files of a list: manifests first, as they are asked for most.
fn most_asked(list: &ArtifactList) -> impl Iterator<Item = &Artifact> {
    let is_manifest =
        |file: &&Artifact| matches!(file.role, Role::ImageIndex | Role::ImageManifest);
    let manifests = list.iter().filter(is_manifest);
    manifests.chain(list.iter().filter(move |file| !is_manifest(file)))
}

/// Lower-case runs of letters and digits, without duplicates, none longer than [`WORD`].
pub(crate) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut words: Vec<String> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty() && w.len() <= WORD)
        .map(str::to_owned)
        .collect();
    words.sort();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    #[test]
    fn a_release_reads_back_with_all_that_is_known_of_it() {
        let artifacts = ArtifactListRef { blob: BlobId::of(b"list"), count: 1, bytes: 2, size: 3 };
        for (arrived, content) in [
            (None, None),
            (Some(7), None),
            (None, Some(ContentId::from_bytes([8; 32]))),
            (Some(7), Some(ContentId::from_bytes([8; 32]))),
        ] {
            let value = ReleaseValue {
                state: Holding::Partial,
                held_bytes: 1,
                seq: 2,
                issued_at: 3,
                release: EntryId::from_bytes([4; 32]).into(),
                publisher: *Keypair::from_seed([1; 32]).id().as_bytes(),
                artifacts,
                arrived,
                content,
            };
            assert_eq!(ReleaseValue::decode(&value.encode()), Some(value));
        }
    }
}
