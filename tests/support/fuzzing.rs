//! The fuzz targets: one function per decoder of external bytes. `tests/fuzz` drives them with
//! libFuzzer, and an ordinary test replays the committed corpus.
//!
//! A target fails by panicking: in the decoder itself, or in an assertion here that accepted input
//! obeys its format. Errors are results, not findings.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use perennial_manifest::{ArtifactList, ArtifactListRef, BlobId, ListError, SignedEntry};
use perennial_oci::{Digest, Manifest, Reference, Tree};
use perennial_protocol::{BlobRequest, Request, Response};

/// A target's name, which is also that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("entry", entry),
    ("message", message),
    ("control", control),
    ("oci", oci),
    ("archive", archive),
    ("range", range),
];

/// Signed entries and artifact lists: an accepted value re-encodes to exactly its input.
pub fn entry(data: &[u8]) {
    if let Ok(entry) = SignedEntry::decode(data) {
        assert_eq!(entry.encode(), data, "a second encoding of an entry");
    }
    // A mutated signature never verifies, and is checked last: the bare payload reaches the rules
    // of bodies without one.
    let _ = SignedEntry::decode(&unsigned(data));
    list(data);
}

/// An entry's envelope around this payload, without signatures.
fn unsigned(payload: &[u8]) -> Vec<u8> {
    let mut envelope = b"\xa2\x64sigs\x80\x67payload".to_vec();
    // The shortest head of a byte string (RFC 8949, 3.1), as canonical CBOR demands.
    let [.., b2, b1, b0] = payload.len().to_be_bytes();
    match payload.len() {
        0..24 => envelope.push(0x40 | b0),
        24..256 => envelope.extend([0x58, b0]),
        256..65_536 => envelope.extend([0x59, b1, b0]),
        _ => envelope.extend([0x5a, 0, b2, b1, b0]),
    }
    [&envelope, payload].concat()
}

fn list(data: &[u8]) {
    let size = data.len() as u64;
    let mut claim = ArtifactListRef { blob: BlobId::of(data), count: 1, bytes: 0, size };
    // The claim is corrected from the error, so that a valid list is accepted.
    for _ in 0..3 {
        match ArtifactList::decode(data, &claim) {
            Ok(list) => {
                let (encoded, found) = list.encode().expect("an accepted list encodes");
                assert_eq!(encoded, data, "a second encoding of a list");
                assert_eq!(found, claim);
                return;
            }
            Err(ListError::Mismatch { what: "count", found, .. }) => {
                claim.count = u32::try_from(found).expect("bounded by the format");
            }
            Err(ListError::Mismatch { what: "total bytes", found, .. }) => claim.bytes = found,
            Err(_) => return,
        }
    }
}

/// Requests and responses between peers: as for entries, each value has one encoding.
pub fn message(data: &[u8]) {
    if let Ok(request) = Request::decode(data) {
        assert_eq!(request.encode().expect("an accepted request encodes"), data);
    }
    if let Ok(response) = Response::decode(data) {
        assert_eq!(response.encode().expect("an accepted response encodes"), data);
    }
    if let Ok(request) = BlobRequest::decode(data) {
        let frame = request.encode_frame().expect("an accepted request encodes");
        assert_eq!(&frame[4..], data);
    }
}

/// Frames on the control socket.
pub fn control(data: &[u8]) {
    let _ = ready(perennial_control::fuzzing::request(data));
    let _ = ready(perennial_control::fuzzing::frame(data));
    // The same content behind a correct length, so that mutations reach the JSON parser.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let framed = [&length.to_le_bytes()[..], data].concat();
    let _ = ready(perennial_control::fuzzing::request(&framed));
}

/// The output of a future that never waits, as reading from a slice does not.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("reading from memory waited"),
    }
}

/// Image manifests and indexes, digests and references.
pub fn oci(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        let root = Digest::sha256_of(data);
        let mut tree = Tree::image(root);
        if let Ok(Some(visit)) = tree.next_visit()
            && tree.add(&visit, data.len() as u64, &manifest).is_ok()
        {
            let _ = tree.next_visit();
            assert!(tree.manifests().contains(&root));
            let blobs = tree.blobs().count();
            assert!(blobs <= perennial_oci::MAX_BLOBS, "{blobs} blobs");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(Digest::of_path(&digest.path()), Some(digest));
    }
    if let Ok(reference) = text.parse::<Reference>()
        && let Ok(purl) = reference.purl()
    {
        assert_eq!(Reference::of_purl(&purl), Some(reference), "{purl}");
    }
}

/// Tars of saved images, and chart archives.
pub fn archive(data: &[u8]) {
    let dir = ["/dev/shm", "/tmp"].into_iter().find(|dir| std::path::Path::new(dir).is_dir());
    let path = format!("{}/perennial-fuzz-{}", dir.unwrap_or("."), std::process::id());
    let written = File::create(&path).and_then(|mut file| file.write_all(data));
    written.expect("a scratch file");
    let _ = perennial_import::fuzzing::saved_images(path.as_ref());
    let _ = std::fs::remove_file(&path);
    let mut tgz = data;
    let _ = perennial_import::fuzzing::chart(&mut tgz);
}

/// HTTP ranges: the first line is `Range`, the second the size, the third `If-Range`.
pub fn range(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let range = lines.next().unwrap_or_default();
    let size = lines.next().and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
    let size = size.unwrap_or(1000);
    let if_range = lines.next().unwrap_or_default();
    if let Some(part) = perennial_gateway::fuzzing::part(range, if_range, "\"etag\"", size) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
}
