//! Ranks peers for a release by rendezvous hashing, identically on every node and without
//! coordination.
//!
//! Pure functions. When a peer leaves, only the releases for which it ranked first are reassigned.

use perennial_manifest::ReleaseId;

use crate::peer::PeerId;

/// Holders that announce a release in the DHT, at most.
pub(crate) const ANNOUNCERS: usize = 20;

/// A peer's score for a key; the highest ranks first.
#[must_use]
pub(crate) fn score(key: &[u8; 32], peer: &PeerId) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key);
    hasher.update(peer.as_str().as_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// Peers by rank for a key. Ties are broken by id.
#[must_use]
pub(crate) fn order<'a>(
    key: &[u8; 32],
    peers: impl IntoIterator<Item = &'a PeerId>,
) -> Vec<PeerId> {
    let mut scored: Vec<(u64, &PeerId)> =
        peers.into_iter().map(|peer| (score(key, peer), peer)).collect();
    scored.sort_unstable_by(|one, other| other.cmp(one));
    scored.into_iter().map(|(_, peer)| peer.clone()).collect()
}

/// The key by which a node ranks the holders of a release for its own requests. It differs between
/// nodes, so that they do not all ask the same holder first.
#[must_use]
pub(crate) fn own_key(key: &[u8; 32], me: &PeerId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(me.as_str().as_bytes());
    hasher.update(key);
    *hasher.finalize().as_bytes()
}

/// Returns whether `me` announces a release, given the other holders.
#[must_use]
pub(crate) fn announces<'a>(
    release: &ReleaseId,
    me: &PeerId,
    holders: impl IntoIterator<Item = &'a PeerId>,
) -> bool {
    let entry = release.entry();
    let mine = score(entry.as_bytes(), me);
    let before = holders
        .into_iter()
        .filter(|peer| *peer != me && score(entry.as_bytes(), peer) > mine)
        .count();
    before < ANNOUNCERS
}

#[cfg(test)]
mod tests {
    use perennial_manifest::{EntryId, ReleaseId};

    use super::{ANNOUNCERS, announces, order};
    use crate::peer::PeerId;

    fn peers(count: usize) -> Vec<PeerId> {
        (0..count).map(|n| format!("peer{n}").parse().unwrap()).collect()
    }

    #[test]
    fn removing_a_peer_moves_only_its_own_releases() {
        let all = peers(20);
        let without: Vec<PeerId> =
            all.iter().filter(|peer| peer.as_str() != "peer7").cloned().collect();
        let mut firsts = std::collections::BTreeMap::new();
        for n in 0..200_u8 {
            let key = [n; 32];
            let (before, after) = (order(&key, &all), order(&key, &without));
            if before[0].as_str() != "peer7" {
                assert_eq!(before[0], after[0]);
            }
            *firsts.entry(before[0].clone()).or_insert(0) += 1;
        }
        assert!(
            firsts.values().all(|count| *count < 30),
            "no peer ranks first for everything: {firsts:?}"
        );
    }

    #[test]
    fn the_intended_number_of_holders_announce() {
        let all = peers(60);
        for n in 0..20_u8 {
            let release = ReleaseId::from(EntryId::from_bytes([n; 32]));
            assert_eq!(all.iter().filter(|me| announces(&release, me, &all)).count(), ANNOUNCERS);
        }
    }
}
