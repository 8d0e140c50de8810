//! Bytes that are not the one encoding of an entry.

use ipld_core::ipld::Ipld;
use perennial_manifest::{MAX_ENCODED, MAX_PAYLOAD, canonical};

use super::{cbor, genesis, one, refuse};
use crate::vectors::Refused;
use crate::vectors::forge::{sealed, with};

pub(super) fn encodings(all: &mut Vec<Refused>) {
    let good = sealed(&cbor(&genesis()), &[&one()]);
    let decode = "entry: not valid deterministic CBOR";
    refuse(all, "nothing", &[], decode);
    refuse(all, "cut short", &good[..good.len() - 1], decode);
    refuse(all, "a byte behind the envelope", &[&good[..], &[0]].concat(), decode);
    refuse(
        all,
        "an envelope with a field more",
        &cbor(&with(&canonical::from_slice(&good).unwrap(), "ttl", Ipld::Integer(1))),
        "not the one encoding",
    );
    refuse(
        all,
        "a list of 2^40 signatures",
        &hex::decode("a2647369677 39b0000010000000000".replace(' ', "")).unwrap(),
        decode,
    );
    refuse(all, "nested without end", &[0x81; 8000], decode);
    refuse(all, "longer than any entry", &vec![0xa2; MAX_ENCODED + 1], "is longer than 8704");
    let mut long = cbor(&with(&genesis(), "padding", Ipld::Bytes(vec![0; MAX_PAYLOAD])));
    long.truncate(MAX_PAYLOAD + 1);
    refuse(
        all,
        "a payload of 8,193 bytes",
        &sealed(&long, &[&one()]),
        "entry of 8193 bytes is longer than 8192",
    );
    refuse(
        all,
        "a payload that is no map",
        &sealed(&cbor(&Ipld::List(Vec::new())), &[&one()]),
        decode,
    );
    refuse(
        all,
        "a byte behind the payload",
        &sealed(&[cbor(&genesis()), vec![0]].concat(), &[&one()]),
        decode,
    );
    // fields stand by length, then bytes: seq, body, kind, prevs, issued_at, publisher
    let (kind, seq) = ("646b696e646770726f66696c65", "6373657100");
    let given = hex::encode(cbor(&genesis()));
    assert!(given.starts_with(&format!("a6{seq}64")), "{given}");
    refuse_payload(all, "an overlong integer", seq, "637365711800", decode);
    refuse_payload(all, "an overlong text length", "646b696e64", "78046b696e64", decode);
    refuse_payload(all, "a field twice", &format!("a6{seq}"), &format!("a7{seq}{seq}"), decode);
    let moved = format!("a6{}{seq}", &given[2 + seq.len()..]);
    refuse(all, "fields out of order", &sealed(&hex::decode(moved).unwrap(), &[&one()]), decode);
    refuse_payload(all, "a float for an integer", seq, "63736571fb0000000000000000", decode);
    refuse_payload(all, "a short float", seq, "63736571f90000", decode);
    refuse_payload(all, "undefined", seq, "63736571f7", decode);
    refuse_payload(all, "a tag that is not 42", seq, "63736571c000", decode);
    refuse_payload(all, "a negative number", seq, "6373657120", decode);
    refuse_payload(all, "text that is not UTF-8", kind, "646b696e6467ff726f66696c65", decode);
    let indefinite = format!("bf{}ff", &given[2..]);
    refuse(
        all,
        "a map of indefinite length",
        &sealed(&hex::decode(indefinite).unwrap(), &[&one()]),
        decode,
    );
}

/// A payload that differs from one encoding in these bytes, signed by its publisher.
fn refuse_payload(all: &mut Vec<Refused>, name: &str, was: &str, is: &str, error: &str) {
    let given = hex::encode(cbor(&genesis()));
    let harmed = given.replacen(was, is, 1);
    assert_ne!(given, harmed, "{name}");
    refuse(all, name, &sealed(&hex::decode(harmed).unwrap(), &[&one()]), error);
}
