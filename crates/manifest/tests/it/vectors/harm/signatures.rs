//! Signatures that are not the publisher's, and keys that are none.

use ed25519_dalek::{Signature, SigningKey, Verifier, VerifyingKey};
use ipld_core::ipld::Ipld;
use sha2::{Digest, Sha512};

use super::{BEFORE, cbor, genesis, one, refuse, two};
use crate::vectors::Refused;
use crate::vectors::forge::{envelope, map, payload, sealed, signed_bytes, with};

pub(super) fn signatures(all: &mut Vec<Refused>) {
    let good = cbor(&genesis());
    let by = format!("entry: not signed by {}", one().id());
    let sig = one().sign(&signed_bytes(&good)).to_vec();
    refuse(all, "no signature", &envelope(&good, &[]), &by);
    refuse(all, "signed by another key", &sealed(&good, &[&two()]), &by);
    refuse(all, "a signature too many", &sealed(&good, &[&one(), &two()]), &by);
    refuse(
        all,
        "a signature over the bare payload",
        &envelope(&good, &[one().sign(&good).to_vec()]),
        &by,
    );
    let other_context = [b"perennial/entry/2", &signed_bytes(&good)[17..]].concat();
    refuse(
        all,
        "a signature in another context",
        &envelope(&good, &[one().sign(&other_context).to_vec()]),
        &by,
    );
    let mut flipped = sig.clone();
    flipped[20] ^= 1;
    refuse(all, "one bit of the signature flipped", &envelope(&good, &[flipped]), &by);
    let changed = cbor(&with(&genesis(), "issued_at", Ipld::Integer(2)));
    refuse(
        all,
        "another payload under the signature",
        &envelope(&changed, std::slice::from_ref(&sig)),
        &by,
    );
    refuse(
        all,
        "a signature of 63 bytes",
        &envelope(&good, &[sig[..63].to_vec()]),
        "not valid deterministic CBOR",
    );
    refuse(all, "S that is not reduced (S + L)", &envelope(&good, &[plus_order(&sig)]), &by);
    let loose = small_order_r(&signed_bytes(&good));
    let verifying = VerifyingKey::from_bytes(one().id().as_bytes()).unwrap();
    verifying
        .verify(&signed_bytes(&good), &Signature::from_bytes(&loose))
        .expect("only strictness refuses it");
    refuse(
        all,
        "R of small order, which loose verification takes",
        &envelope(&good, &[loose.to_vec()]),
        &by,
    );

    // Keys: the neutral element, and a point whose y of 3 is written as p + 3, the field's prime
    // added.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut above = [0xff; 32];
    (above[0], above[31]) = (0xf0, 0x7f);
    for (name, publisher) in [
        ("a key of small order", neutral),
        ("a key that is not canonical", above),
        ("a key that is no point", [2; 32]),
    ] {
        let payload = cbor(&with(&genesis(), "publisher", Ipld::Bytes(publisher.to_vec())));
        // with the neutral element as R and S = 0 loose verification takes any message
        let sig = [&neutral[..], &[0; 32]].concat();
        refuse(all, name, &envelope(&payload, &[sig]), "not a usable Ed25519 public key");
    }

    let rotate = cbor(&payload(
        &one(),
        1,
        &[BEFORE],
        "rotate",
        map([("next", Ipld::Bytes(two().id().as_bytes().to_vec()))]),
    ));
    refuse(
        all,
        "a rotate without the next key's signature",
        &sealed(&rotate, &[&one()]),
        &format!("not signed by {}", two().id()),
    );
    refuse(all, "a rotate signed in the wrong order", &sealed(&rotate, &[&two(), &one()]), &by);
    refuse(
        all,
        "a rotate signed twice by the old key",
        &sealed(&rotate, &[&one(), &one()]),
        &format!("not signed by {}", two().id()),
    );
}

/// The signature with the group's order added to S: the same number, written a second way.
fn plus_order(sig: &[u8]) -> Vec<u8> {
    let order =
        hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0;
    let sums = sig[32..].iter().zip(order).map(|(s, l)| {
        let sum = u16::from(*s) + u16::from(l) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    sig[..32].iter().copied().chain(sums.collect::<Vec<_>>()).collect()
}

/// A signature of the first key with the neutral element as R: S = H(R ‖ A ‖ M) · a.
fn small_order_r(message: &[u8]) -> [u8; 64] {
    let key = SigningKey::from_bytes(&[1; 32]);
    let mut sig = [0; 64];
    sig[0] = 1;
    let hash = Sha512::new()
        .chain_update(&sig[..32])
        .chain_update(one().id().as_bytes())
        .chain_update(message)
        .finalize();
    let secret = key.to_scalar();
    // Horner's rule in the scalar field, whose type this crate can't name
    let mut s = secret + -secret;
    for byte in hash.iter().rev() {
        for bit in (0..8).rev() {
            s += s;
            if byte >> bit & 1 == 1 {
                s += secret;
            }
        }
    }
    sig[32..].copy_from_slice(s.as_bytes());
    sig
}
