//! Entries that the library does not write: those of a later, careless or hostile implementation.
//!
//! Owns raw payloads and envelopes, with real signatures. Checks nothing.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use perennial_manifest::{Keypair, SignedEntry, canonical};

/// A map of these fields.
pub(crate) fn map<const N: usize>(fields: [(&str, Ipld); N]) -> Ipld {
    Ipld::Map(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
}

/// A text.
pub(crate) fn text(text: &str) -> Ipld {
    Ipld::String(text.to_owned())
}

/// The payload of a statement by `key` with this place and body.
pub(crate) fn payload(key: &Keypair, seq: u64, prevs: &[[u8; 32]], kind: &str, body: Ipld) -> Ipld {
    map([
        ("publisher", Ipld::Bytes(key.id().as_bytes().to_vec())),
        ("seq", Ipld::Integer(seq.into())),
        ("prevs", Ipld::List(prevs.iter().map(|prev| Ipld::Bytes(prev.to_vec())).collect())),
        ("issued_at", Ipld::Integer(1)),
        ("kind", text(kind)),
        ("body", body),
    ])
}

/// The payload with an additional field, or another value for one.
pub(crate) fn with(payload: &Ipld, field: &str, value: Ipld) -> Ipld {
    let Ipld::Map(mut fields) = payload.clone() else { panic!("a payload is a map") };
    fields.insert(field.to_owned(), value);
    Ipld::Map(fields)
}

/// The payload without a field.
pub(crate) fn without(payload: &Ipld, field: &str) -> Ipld {
    let Ipld::Map(mut fields) = payload.clone() else { panic!("a payload is a map") };
    fields.remove(field).unwrap();
    Ipld::Map(fields)
}

/// The input of a signature.
pub(crate) fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [b"perennial/entry/1", &(payload.len() as u64).to_le_bytes()[..], payload].concat()
}

/// An envelope with these signatures.
pub(crate) fn envelope(payload: &[u8], sigs: &[Vec<u8>]) -> Vec<u8> {
    let sigs = sigs.iter().map(|sig| Ipld::Bytes(sig.clone())).collect();
    canonical::to_vec(&map([
        ("payload", Ipld::Bytes(payload.to_vec())),
        ("sigs", Ipld::List(sigs)),
    ]))
    .unwrap()
}

/// An envelope of a raw payload, signed.
pub(crate) fn sealed(payload: &[u8], keys: &[&Keypair]) -> Vec<u8> {
    let sigs: Vec<_> = keys.iter().map(|key| key.sign(&signed_bytes(payload)).to_vec()).collect();
    envelope(payload, &sigs)
}

/// The same statement with more fields in its body, as a later version would sign it.
pub(crate) fn with_fields(
    signed: &SignedEntry,
    adds: &BTreeMap<String, String>,
    keys: &[Keypair],
) -> Vec<u8> {
    let payload: Ipld = canonical::from_slice(signed.payload()).unwrap();
    let mut body = payload.get("body").unwrap().unwrap().clone();
    for (field, value) in adds {
        body = with(&body, field, text(value));
    }
    let payload = canonical::to_vec(&with(&payload, "body", body)).unwrap();
    sealed(&payload, &keys.iter().collect::<Vec<_>>())
}
