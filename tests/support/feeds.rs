//! Feeds of many publishers, for stores that know very many releases.

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, Entry, Keypair, Purl, Release, SignedEntry,
};

/// The key of the publisher of this number.
#[must_use]
pub fn feed_key(publisher: u64) -> Keypair {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&publisher.to_le_bytes());
    Keypair::from_seed(seed)
}

/// This many releases of this many publishers, one feed after the other. The release of number `n`
/// in all and `seq` in its feed is named by `purl`. Nobody has their lists.
///
/// # Panics
/// If they cannot be signed.
#[must_use]
pub fn many_releases(
    releases: u64,
    publishers: u64,
    purl: impl Fn(u64, u64) -> String,
) -> Vec<SignedEntry> {
    let each = releases / publishers;
    let mut entries = Vec::new();
    for publisher in 0..publishers {
        let key = feed_key(publisher);
        let mut prevs = Vec::new();
        for seq in 0..each {
            let n = publisher * each + seq;
            let blob = BlobId::of(&n.to_le_bytes());
            let purl = Purl::parse(&purl(n, seq)).expect("a name");
            let list = ArtifactListRef { blob, count: 3, bytes: 3000, size: 300 };
            let body = Body::Release(Box::new(Release::new(purl, list)));
            let entry =
                Entry { publisher: key.id(), seq, prevs, issued_at: 1_700_000_000 + n, body };
            let signed = entry.sign(&key).expect("a sound entry");
            prevs = vec![signed.id()];
            entries.push(signed);
        }
    }
    entries
}

/// Names that differ from each other in a number.
#[must_use]
pub fn tool(n: u64, seq: u64) -> String {
    format!("pkg:generic/tool-{n}@v1.{seq}.0")
}
