//! Signing and reading entries: the right key, the bounds, and untrusted bytes.

use perennial_manifest::entry::MAX_DEPTH;
use perennial_manifest::{
    Body, BodyError, Entry, EntryError, EntryId, Keypair, MAX_ENCODED, MAX_PAYLOAD, Merge, Profile,
    PublisherKind, Rotate, SignedEntry,
};
use proptest::prelude::*;

fn key(n: u8) -> Keypair {
    Keypair::from_seed([n; 32])
}

fn entry(body: Body) -> Entry {
    Entry {
        publisher: key(1).id(),
        seq: 1,
        prevs: vec![EntryId::from_bytes([9; 32])],
        issued_at: 7,
        body,
    }
}

fn profile(name: &str) -> Body {
    Body::Profile(Profile {
        name: name.into(),
        publisher_kind: PublisherKind::Upstream,
        contact: None,
        claims: Vec::new(),
    })
}

/// A body of an unknown kind whose fields take this many bytes.
fn unknown(bytes: usize) -> Body {
    let head = [0xa1, 0x61, b'x', 0x59];
    let inside = bytes - head.len() - 2;
    let length = u16::try_from(inside).unwrap().to_be_bytes();
    Body::Unknown { kind: "x".into(), fields: [&head[..], &length, &vec![0; inside]].concat() }
}

#[test]
fn only_the_publisher_signs() {
    let other = entry(profile("a")).sign(&key(2));
    assert_eq!(other.unwrap_err(), EntryError::WrongKey(key(1).id()));
    let rotate = || entry(Body::Rotate(Rotate { next: key(2).id() }));
    assert_eq!(
        rotate().sign(&key(1)).unwrap_err(),
        EntryError::WrongKey(key(2).id()),
        "both keys sign"
    );
    assert_eq!(
        rotate().sign_rotation(&key(1), &key(3)).unwrap_err(),
        EntryError::WrongKey(key(2).id())
    );
    assert_eq!(
        rotate().sign_rotation(&key(3), &key(2)).unwrap_err(),
        EntryError::WrongKey(key(1).id())
    );
    assert!(entry(profile("a")).sign_rotation(&key(1), &key(2)).is_err(), "that is no rotation");
    assert!(rotate().sign_rotation(&key(1), &key(2)).is_ok());
}

#[test]
fn an_entry_that_readers_refuse_is_not_signed() {
    assert_eq!(entry(profile("")).sign(&key(1)).unwrap_err(), BodyError::Field("name").into());
    let merge = entry(Body::Merge(Merge { reason: None })).sign(&key(1));
    assert_eq!(merge.unwrap_err(), EntryError::Prevs { seq: 1, prevs: 1 });
    let not_canonical = Body::Unknown { kind: "x".into(), fields: vec![0x18, 0] };
    assert!(matches!(
        entry(not_canonical).sign(&key(1)),
        Err(EntryError::Body(BodyError::Encoding(_)))
    ));
    let known = Body::Unknown { kind: "profile".into(), fields: vec![0xa0] };
    assert!(entry(known).sign(&key(1)).is_err(), "a known kind can't pass as unknown");
}

#[test]
fn the_longest_payload_is_accepted_and_one_more_byte_is_not() {
    let frame = entry(unknown(1000)).sign(&key(1)).unwrap().payload().len() - 1000;
    let longest = entry(unknown(MAX_PAYLOAD - frame)).sign(&key(1)).unwrap();
    assert_eq!(longest.payload().len(), MAX_PAYLOAD);
    assert!(longest.encode().len() <= MAX_ENCODED);
    assert_eq!(SignedEntry::decode(&longest.encode()).unwrap(), longest);
    let found = MAX_PAYLOAD + 1;
    let longer = entry(unknown(MAX_PAYLOAD - frame + 1)).sign(&key(1));
    assert_eq!(longer.unwrap_err(), EntryError::TooLong { found, limit: MAX_PAYLOAD });
}

#[test]
fn nesting_ends_where_the_format_says() {
    // The payload's map, the body's, and lists inside it.
    let nested = |lists: usize| Body::Unknown {
        kind: "x".into(),
        fields: [&[0xa1, 0x61, b'x'][..], &vec![0x81; lists - 1], &[0x80]].concat(),
    };
    assert!(entry(nested(MAX_DEPTH - 2)).sign(&key(1)).is_ok());
    assert_eq!(entry(nested(MAX_DEPTH - 1)).sign(&key(1)).unwrap_err(), EntryError::TooDeep);
}

/// What was verified before is read by its hash: no other bytes pass for it.
#[test]
fn a_statement_is_read_by_the_hash_of_its_bytes() {
    let signed = entry(profile("savers")).sign(&key(1)).unwrap();
    let encoded = signed.encode();
    let stated = SignedEntry::statement(&encoded, &signed.id()).unwrap();
    assert_eq!(stated.as_ref(), Some(signed.entry()));
    let other = EntryId::from_bytes([7; 32]);
    assert_eq!(SignedEntry::statement(&encoded, &other).unwrap(), None);
    for at in 0..encoded.len() {
        let mut harmed = encoded.clone();
        harmed[at] ^= 1;
        // The signature itself is not looked at: its bytes may differ.
        if let Ok(Some(stated)) = SignedEntry::statement(&harmed, &signed.id()) {
            assert_eq!(&stated, signed.entry());
        }
    }
    let long = vec![0; MAX_ENCODED + 1];
    let limit = Err(EntryError::TooLong { found: MAX_ENCODED + 1, limit: MAX_ENCODED });
    assert_eq!(SignedEntry::statement(&long, &signed.id()), limit);
    assert!(SignedEntry::statement(&encoded[1..], &signed.id()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = SignedEntry::decode(&bytes);
    }

    /// No changed, missing or additional byte passes for what was signed.
    #[test]
    fn corrupted_bytes_are_refused(at in any::<prop::sample::Index>(), xor in 1u8..,
        cut in any::<prop::sample::Index>(), more in any::<u8>()) {
        let good = entry(profile("savers")).sign(&key(1)).unwrap().encode();
        let mut harmed = good.clone();
        harmed[at.index(good.len())] ^= xor;
        prop_assert!(SignedEntry::decode(&harmed).is_err());
        prop_assert!(SignedEntry::decode(&good[..cut.index(good.len())]).is_err());
        prop_assert!(SignedEntry::decode(&[&good[..], &[more]].concat()).is_err());
    }

    /// Arbitrary payloads with valid signatures: the codec and the checks behind it meet what only
    /// a publisher could send.
    #[test]
    fn signed_garbage_does_not_panic(at in any::<prop::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 0..6), drop in 0usize..6) {
        let signed = entry(profile("savers")).sign(&key(1)).unwrap();
        let mut payload = signed.payload().to_vec();
        let from = at.index(payload.len());
        let to = (from + drop).min(payload.len());
        payload.splice(from..to, with);
        let covered = [b"perennial/entry/1", &(payload.len() as u64).to_le_bytes()[..],
            &payload].concat();
        // Sigs, then payload: the envelope's two fields in their order.
        let mut encoded = hex::decode("a2647369677381 5840".replace(' ', "")).unwrap();
        encoded.extend(key(1).sign(&covered));
        encoded.extend(hex::decode("677061796c6f616458").unwrap());
        encoded.push(u8::try_from(payload.len()).unwrap());
        encoded.extend(&payload);
        if let Ok(read) = SignedEntry::decode(&encoded) {
            prop_assert_eq!(read.payload(), &payload[..]);
            prop_assert_eq!(read.encode(), encoded);
        }
    }
}
