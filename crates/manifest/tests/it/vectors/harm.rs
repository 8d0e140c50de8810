//! Bytes that must be refused, and why: the source of `refused.json`, run only when the vectors are
//! blessed.

mod bytes;
mod fields;
mod lists;
mod signatures;

use ipld_core::ipld::Ipld;
use perennial_manifest::{Keypair, canonical};

use crate::vectors::Refused;
use crate::vectors::forge::{map, payload, text};

/// Every refused encoding.
pub(crate) fn all() -> Vec<Refused> {
    let mut all = Vec::new();
    bytes::encodings(&mut all);
    signatures::signatures(&mut all);
    fields::places(&mut all);
    fields::fields(&mut all);
    lists::lists(&mut all);
    all
}

const BEFORE: [u8; 32] = [0x11; 32];

fn one() -> Keypair {
    Keypair::from_seed([1; 32])
}

fn two() -> Keypair {
    Keypair::from_seed([2; 32])
}

fn profile() -> Ipld {
    map([("name", text("savers")), ("publisher_kind", text("archivist"))])
}

fn genesis() -> Ipld {
    payload(&one(), 0, &[], "profile", profile())
}

fn cbor(value: &Ipld) -> Vec<u8> {
    canonical::to_vec(value).unwrap()
}

fn refuse(all: &mut Vec<Refused>, name: &str, bytes: &[u8], error: &str) {
    all.push(Refused {
        name: name.into(),
        claim: None,
        error: error.into(),
        hex: hex::encode(bytes),
    });
}
