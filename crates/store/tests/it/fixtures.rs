//! A publisher and its releases, made from a seed. The crate's unit tests and its benchmark include
//! this file: a library of helpers would link another build of the store than unit tests have.

use std::path::Path;

use perennial_manifest::{
    ArtifactList, ArtifactListRef, ArtifactPath, Body, Entry, Keypair, Purl, Release, ReleaseId,
    Role, SignedEntry,
};
use perennial_store::{Added, Lease, OpenOptions, Store, StoreError};

/// Bytes that differ by seed.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

pub(crate) fn key(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}

/// A statement without its blobs.
pub(crate) fn statement(
    key: &Keypair,
    seq: u64,
    prev: Option<&SignedEntry>,
    name: &str,
    artifacts: ArtifactListRef,
) -> SignedEntry {
    let purl = Purl::generic(name, "v1").unwrap();
    let release = Release { license: "MIT".into(), ..Release::new(purl, artifacts) };
    let body = Body::Release(Box::new(release));
    let prevs = prev.map(SignedEntry::id).into_iter().collect();
    Entry { publisher: key.id(), seq, prevs, issued_at: 1_750_000_000 + seq, body }
        .sign(key)
        .unwrap()
}

pub(crate) fn list_of(added: &[Added]) -> ArtifactList {
    let artifact = |(at, added): (usize, &Added)| {
        let path = ArtifactPath::parse(&format!("file-{at:06}")).unwrap();
        added.artifact(path, Role::Binary, "application/octet-stream")
    };
    ArtifactList::new(added.iter().enumerate().map(artifact).collect()).unwrap()
}

/// Adds bytes, their list, and the statement that names it, as a node's `add` does.
pub(crate) fn release(
    store: &Store,
    key: &Keypair,
    name: &str,
    contents: &[Vec<u8>],
) -> (SignedEntry, Vec<Added>) {
    let (signed, added, _lease) = try_release(store, key, name, contents).unwrap();
    (signed, added)
}

pub(crate) fn try_release(
    store: &Store,
    key: &Keypair,
    name: &str,
    contents: &[Vec<u8>],
) -> Result<(SignedEntry, Vec<Added>, Lease), StoreError> {
    let mut batch = store.batch();
    let added: Result<Vec<Added>, _> =
        contents.iter().map(|bytes| batch.add_bytes(bytes.clone())).collect();
    let added = added?;
    let (encoded, claim) = list_of(&added).encode().unwrap();
    batch.add_bytes(encoded)?;
    let lease = batch.commit()?;
    let next = store.feed(&key.id())?.next(None).unwrap();
    let prev = next.prevs.first().map(|id| store.entry(id)).transpose()?.flatten();
    let signed = statement(key, next.seq, prev.as_ref(), name, claim);
    store.put_entries(std::slice::from_ref(&signed))?;
    Ok((signed, added, lease))
}

pub(crate) fn id(signed: &SignedEntry) -> ReleaseId {
    ReleaseId::from(signed.id())
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, OpenOptions::default()).unwrap()
}

/// Checks now, after a restart, and after the index was rebuilt.
pub(crate) fn throughout(store: Store, dir: &Path, check: impl Fn(&Store)) -> Store {
    check(&store);
    drop(store);
    check(&open(dir));
    let store = open(dir);
    store.rebuild_index().unwrap();
    check(&store);
    store
}

/// Adds bytes of a release that the store lost.
pub(crate) fn add_again(store: &Store, signed: &SignedEntry, bytes: &[u8]) {
    let mut batch = store.batch();
    assert!(batch.add_bytes(bytes.to_vec()).unwrap().new);
    let _lease = batch.commit().unwrap();
    store.refresh_state(&id(signed)).unwrap();
}

pub(crate) fn follow(store: &Store, key: &Keypair) {
    let mut follows = store.follows();
    follows.publishers.insert(key.id(), None);
    store.set_follows(&follows).unwrap();
}

/// Flips a bit in the first place of a file where these bytes lie.
pub(crate) fn flip(path: &Path, content: &[u8]) {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    let all = std::fs::read(path).unwrap();
    let wanted = &content[..content.len().min(64)];
    let at =
        all.windows(wanted.len()).position(|window| window == wanted).unwrap() + content.len() / 2;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[all[at] ^ 1], at as u64).unwrap();
}

/// The file of a large blob.
pub(crate) fn file_of(dir: &Path, added: &Added) -> std::path::PathBuf {
    let hex = added.blob.to_hex();
    dir.join("blobs").join(&hex[..2]).join(format!("{hex}.blob"))
}
