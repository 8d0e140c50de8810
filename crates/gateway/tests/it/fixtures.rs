//! Deterministic keys and bytes: equal seeds give equal values.

use perennial_manifest::Keypair;

/// Pseudorandom bytes.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut step = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| step()).collect()
}

pub(crate) fn key(seed: u8) -> Keypair {
    Keypair::from_seed([seed; 32])
}
