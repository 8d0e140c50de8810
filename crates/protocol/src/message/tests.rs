//! Encodings, bounds and hostile bytes.

use perennial_manifest::{BlobId, EntryId, Holding, Keypair, ReleaseId, Sha256Digest};
use proptest::prelude::*;

use super::{
    BlobClaim, Bounded, EntryBytes, MAX_ENTRY_IDS, MAX_RECONCILE_REQUEST, MAX_REQUEST, MAX_SCOPE,
    MAX_SELECTOR, MessageError, Refusal, Request, Response, Scope,
};

fn id(n: u64) -> EntryId {
    EntryId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

fn requests() -> Vec<Request> {
    let publisher = Keypair::from_seed([3; 32]).id();
    vec![
        Request::Reconcile { scope: Scope::All, message: vec![0x61, 1, 2] },
        Request::Reconcile {
            scope: Scope::Publishers(Bounded::first_of([publisher])),
            message: Vec::new(),
        },
        Request::Entries { ids: Bounded::first_of((0..512).map(id)) },
        Request::Find {
            selector: "kubekey@v3.1.0".to_owned(),
            publisher: Some(publisher),
            limit: 256,
        },
        Request::Find { selector: String::new(), publisher: None, limit: 0 },
        Request::Have {
            releases: Bounded::first_of([ReleaseId::from(id(1))]),
            blobs: Bounded::first_of([BlobId::of(b"x")]),
        },
        Request::ResolveSha256 { digest: Sha256Digest::from_bytes([9; 32]) },
        Request::Search { text: "quay.io kk".to_owned(), limit: 256 },
    ]
}

fn responses() -> Vec<Response> {
    vec![
        Response::Reconcile { message: vec![0x61] },
        Response::Entries { entries: Bounded::first_of([EntryBytes(vec![1, 2, 3])]) },
        Response::Found { entries: Bounded::empty() },
        Response::Have {
            releases: Bounded::first_of([
                None,
                Some(Holding::Known),
                Some(Holding::Partial),
                Some(Holding::Held),
            ]),
            blobs: Bounded::first_of([None, Some(0), Some(u64::MAX >> 1)]),
        },
        Response::Sha256 { blob: Some(BlobClaim { blob: BlobId::of(b"x"), size: 1 }) },
        Response::Sha256 { blob: None },
        Response::Refused { reason: Refusal::Busy },
    ]
}

#[test]
fn every_message_survives_a_round_trip() {
    for request in requests() {
        let bytes = request.encode().unwrap();
        assert_eq!(Request::decode(&bytes).unwrap(), request);
        assert!(Request::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Request::decode(&[&bytes[..], &[0]].concat()).is_err(), "nothing may follow");
    }
    for response in responses() {
        assert_eq!(Response::decode(&response.encode().unwrap()).unwrap(), response);
    }
}

/// The bytes in PROTOCOL.md, which change only together with the protocol's name.
#[test]
fn golden_bytes() {
    let written = |request: &Request| hex::encode(request.encode().unwrap());
    let reconcile = Request::Reconcile { scope: Scope::All, message: vec![0x61] };
    assert_eq!(
        written(&reconcile),
        "a1697265636f6e63696c65a26573636f706563616c6c676d6573736167654161"
    );
    let have = Request::Have {
        releases: Bounded::empty(),
        blobs: Bounded::first_of([BlobId::from_bytes([7; 32])]),
    };
    let expected =
        format!("a16468617665a265626c6f6273815820{}6872656c656173657380", "07".repeat(32));
    assert_eq!(written(&have), expected);
    let search = Request::Search { text: "kk".to_owned(), limit: 8 };
    assert_eq!(written(&search), "a166736561726368a26474657874626b6b656c696d697408");
    // Absence is encoded as the word `none`, not null.
    let holdings = [None, Some(Holding::Known), Some(Holding::Partial), Some(Holding::Held)];
    let have = Response::Have { releases: Bounded::first_of(holdings), blobs: Bounded::empty() };
    assert_eq!(
        hex::encode(have.encode().unwrap()),
        "a16468617665a265626c6f6273806872656c65617365738464\
         6e6f6e65656b6e6f776e677061727469616c6468656c64"
    );
}

#[test]
fn more_than_the_bound_is_refused() {
    // A list that claims 2^60 ids costs an error, not memory.
    let mut claim = hex::decode("a167656e7472696573a1636964739b1000000000000000").unwrap();
    claim.extend([0; 64]);
    assert!(matches!(Request::decode(&claim), Err(MessageError::Malformed(_))));
    let ids: Vec<EntryId> = (0..=MAX_ENTRY_IDS as u64).map(id).collect();
    assert!(Bounded::<EntryId, MAX_ENTRY_IDS>::try_from(ids.clone()).is_err());
    let mut long = hex::decode("a167656e7472696573a163696473").unwrap();
    long.extend([0x99, 0x02, 0x01]);
    for id in &ids {
        long.extend([0x58, 0x20]);
        long.extend(id.as_bytes());
    }
    assert!(matches!(Request::decode(&long), Err(MessageError::Malformed(_))));
    let message = vec![0; MAX_RECONCILE_REQUEST + 1];
    let bytes = Request::Reconcile { scope: Scope::All, message }.encode().unwrap();
    assert!(matches!(Request::decode(&bytes), Err(MessageError::TooLong { .. })));
    assert!(matches!(
        Request::decode(&vec![0; MAX_REQUEST + 1]),
        Err(MessageError::TooLong { .. })
    ));
    let search = Request::Search { text: "a".repeat(MAX_SELECTOR + 1), limit: 1 };
    assert!(matches!(
        Request::decode(&search.encode().unwrap()),
        Err(MessageError::TooLong { .. })
    ));
    assert_eq!(Bounded::<u8, MAX_SCOPE>::first_of(std::iter::repeat(0)).len(), MAX_SCOPE);
}

#[test]
fn the_largest_request_fits() {
    let publisher = Keypair::from_seed([3; 32]).id();
    let scope = Scope::Publishers(Bounded::first_of(std::iter::repeat(publisher)));
    let request = Request::Reconcile { scope, message: vec![0; MAX_RECONCILE_REQUEST] };
    assert!(request.encode().unwrap().len() <= MAX_REQUEST);
}

proptest! {
    #[test]
    fn any_bytes_end_in_at_most_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::decode(&bytes);
        let _ = Response::decode(&bytes);
        let _ = super::BlobRequest::decode(&bytes);
    }

    #[test]
    fn mutated_bytes_are_refused_or_canonical(which in 0_usize..8, at in 0_usize..20_000, to: u8) {
        let mut bytes = requests()[which].encode().unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(request.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn the_frame_in_the_protocol_page_is_the_one_sent() {
    let request = Request::ResolveSha256 { digest: Sha256Digest::from_bytes([7; 32]) };
    let encoded = request.encode().unwrap();
    let mut frame = super::frame_prefix(encoded.len(), MAX_REQUEST).unwrap().to_vec();
    frame.extend(encoded);
    let mut shown = vec![0x3a, 0, 0, 0, 0xa1, 0x6e];
    shown.extend(b"resolve_sha256");
    shown.extend([0xa1, 0x66]);
    shown.extend(b"digest");
    shown.extend([0x58, 0x20]);
    shown.extend([7; 32]);
    assert_eq!(frame, shown);
}
