//! Resolution of names: only through publishers that the user follows, or through the one that is
//! given.
//!
//! Owns that decision, as a pure function over what is known. Digests and release ids need no trust
//! and never come here.

use std::collections::BTreeMap;

use crate::{BlobId, PublisherId, Purl, ReleaseId, Selector};

/// A release that a name could mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The id of the release.
    pub release: ReleaseId,
    /// The publisher that signed it.
    pub publisher: PublisherId,
    /// Its package URL.
    pub purl: Purl,
    /// Its artifact list. Two releases with one list have the same bytes under the same names.
    pub artifacts: BlobId,
    /// Its sequence number in the publisher's feed; the later of two wins.
    pub seq: u64,
    /// Whether the publisher's feed is forked: if so, no later release replaces an earlier one.
    pub forked: bool,
}

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// One set of bytes, on which all trusted publishers that know the name agree. Never empty;
    /// fetch the first.
    Found(Vec<Candidate>),
    /// Trusted publishers disagree on the bytes, or a forked feed disagrees with itself.
    Conflict(Vec<Candidate>),
    /// Several versions or projects match: the name must be more specific.
    Ambiguous(Vec<Candidate>),
    /// It was signed only by publishers that the user does not follow.
    Strangers(Vec<Candidate>),
    /// No known release has the name.
    NotFound,
}

/// Resolves `selector`. With `only`, that publisher alone is trusted.
#[must_use]
pub fn resolve(
    selector: &Selector,
    trusted: impl Fn(&PublisherId) -> bool,
    only: Option<&PublisherId>,
    candidates: Vec<Candidate>,
) -> Resolution {
    let counts =
        |c: &Candidate| only.map_or_else(|| trusted(&c.publisher), |only| c.publisher == *only);
    let (named, others): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|c| selector.matches(&c.purl));
    let (mut ours, mut strangers): (Vec<_>, Vec<_>) = named.into_iter().partition(counts);
    if ours.is_empty() {
        // A name goes before the beginning of an id, as in git. A whole id needs no trust; its
        // beginning does, because another id that begins so is found in minutes.
        let whole = matches!(selector, Selector::Release(_));
        let of_id = others.into_iter().filter(|c| selector.is_release(&c.release));
        let (trusted, unknown): (Vec<_>, Vec<_>) = of_id.partition(|c| whole || counts(c));
        ours = trusted;
        strangers.extend(unknown);
    }
    if ours.is_empty() {
        return if strangers.is_empty() {
            Resolution::NotFound
        } else {
            Resolution::Strangers(strangers)
        };
    }
    if let Selector::Purl(wanted) = selector
        && ours.iter().any(|c| c.purl == *wanted)
    {
        ours.retain(|c| c.purl == *wanted);
    }
    let ours = newest_of_each(ours);
    let differ = |differ: &dyn Fn(&Candidate, &Candidate) -> bool| {
        ours.iter().any(|candidate| differ(candidate, &ours[0]))
    };
    let bytes = differ(&|one, other| one.artifacts != other.artifacts);
    // The same from two registries, with the same bytes, is one.
    if differ(&|one, other| one.purl.unqualified() != other.purl.unqualified())
        || (bytes && differ(&|one, other| one.purl != other.purl))
    {
        return Resolution::Ambiguous(ours);
    }
    if bytes {
        return Resolution::Conflict(ours);
    }
    Resolution::Found(ours)
}

/// A publisher that released one purl several times means the last release; one whose feed is
/// forked means all of them.
fn newest_of_each(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut newest: BTreeMap<(String, PublisherId), Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let key = (candidate.purl.to_string(), candidate.publisher);
        let kept = newest.entry(key).or_default();
        if candidate.forked {
            kept.push(candidate);
        } else if kept
            .first()
            .is_none_or(|last| (last.seq, last.release) < (candidate.seq, candidate.release))
        {
            *kept = vec![candidate];
        }
    }
    newest.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryId, Keypair};

    fn candidate(publisher: u8, version: &str, bytes: u8, seq: u64) -> Candidate {
        Candidate {
            release: EntryId::from_bytes([publisher.wrapping_mul(16) ^ bytes ^ (seq as u8); 32])
                .into(),
            publisher: Keypair::from_seed([publisher; 32]).id(),
            purl: Purl::generic("kubekey", version).unwrap(),
            artifacts: BlobId::from_bytes([bytes; 32]),
            seq,
            forked: false,
        }
    }

    fn ask(
        selector: &str,
        follows: &[u8],
        only: Option<u8>,
        candidates: Vec<Candidate>,
    ) -> Resolution {
        let key = |n: &u8| Keypair::from_seed([*n; 32]).id();
        let follows: Vec<_> = follows.iter().map(key).collect();
        let only = only.as_ref().map(key);
        resolve(&selector.parse().unwrap(), |p| follows.contains(p), only.as_ref(), candidates)
    }

    #[test]
    fn names_need_trust_and_digests_do_not() {
        let known = vec![candidate(1, "v3.1.0", 9, 0), candidate(2, "v3.1.0", 8, 0)];
        assert!(matches!(ask("kubekey@v3.1.0", &[], None, known.clone()),
                Resolution::Strangers(s) if s.len() == 2));
        assert!(matches!(ask("kubekey@v3.1.0", &[1], None, known.clone()),
                Resolution::Found(f) if f[0] == known[0]));
        assert!(matches!(ask("kubekey@v3.1.0", &[], Some(2), known.clone()),
                Resolution::Found(f) if f[0] == known[1]));
        assert!(matches!(
            ask("kubekey@v3.1.0", &[1], Some(3), known.clone()),
            Resolution::Strangers(_)
        ));
        assert!(matches!(
            ask(&known[0].release.to_string(), &[], None, known.clone()),
            Resolution::Found(_)
        ));
        assert_eq!(ask("other@v3.1.0", &[1], None, known), Resolution::NotFound);
    }

    #[test]
    fn followed_publishers_agree_or_are_shown() {
        let agree = vec![candidate(1, "v1", 9, 0), candidate(2, "v1", 9, 5)];
        assert!(
            matches!(ask("kubekey@v1", &[1, 2], None, agree), Resolution::Found(f) if f.len() == 2)
        );
        let differ = vec![candidate(1, "v1", 9, 0), candidate(2, "v1", 8, 0)];
        assert!(matches!(ask("kubekey@v1", &[1, 2], None, differ.clone()),
                Resolution::Conflict(c) if c.len() == 2));
        assert!(matches!(ask("kubekey@v1", &[1, 2], Some(2), differ.clone()),
                Resolution::Found(f) if f[0] == differ[1]));
        let versions = vec![candidate(1, "v1", 9, 0), candidate(1, "v2", 8, 1)];
        assert!(
            matches!(ask("kubekey", &[1], None, versions), Resolution::Ambiguous(a) if a.len() == 2)
        );
    }

    #[test]
    fn the_last_release_of_a_publisher_counts_unless_its_feed_is_forked() {
        let mut twice = vec![candidate(1, "v1", 9, 0), candidate(1, "v1", 8, 1)];
        assert!(matches!(ask("kubekey@v1", &[1], None, twice.clone()),
                Resolution::Found(f) if f == twice[1..]));
        twice.iter_mut().for_each(|c| c.forked = true);
        assert!(
            matches!(ask("kubekey@v1", &[1], None, twice), Resolution::Conflict(c) if c.len() == 2)
        );
    }

    #[test]
    fn a_prefix_of_two_releases_is_ambiguous() {
        let mut known = vec![candidate(1, "v1", 9, 0), candidate(1, "v2", 8, 1)];
        known[0].release = EntryId::from_bytes([0xab; 32]).into();
        let mut other = [0xab; 32];
        other[31] = 0;
        known[1].release = EntryId::from_bytes(other).into();
        assert!(matches!(ask("abababab", &[1], None, known.clone()),
                Resolution::Ambiguous(a) if a.len() == 2));
        let whole = known[1].release.to_string();
        assert!(
            matches!(ask(&whole, &[], None, known.clone()), Resolution::Found(f) if f == known[1..])
        );
        assert_eq!(ask("cdcdcdcd", &[1], None, known), Resolution::NotFound);
    }

    #[test]
    fn a_name_takes_precedence_over_the_prefix_of_an_id() {
        let mut known = vec![candidate(1, "v1", 9, 0), candidate(2, "v1", 8, 0)];
        known[0].release = EntryId::from_bytes([0xfa; 32]).into();
        assert_eq!(ask("fafa", &[1], None, known.clone()), Resolution::Found(known[..1].to_vec()));
        known[1].purl = Purl::generic("fafa", "1").unwrap();
        for follows in [&[2][..], &[1, 2]] {
            let named = Resolution::Found(known[1..].to_vec());
            assert_eq!(ask("fafa", follows, None, known.clone()), named);
        }
        assert_eq!(ask("fafa", &[1], None, known.clone()), Resolution::Found(known[..1].to_vec()));
        let stranger = known[1..].to_vec();
        assert_eq!(ask("fafa", &[], None, stranger.clone()), Resolution::Strangers(stranger));
    }

    #[test]
    fn the_beginning_of_an_id_needs_trust_and_the_whole_id_does_not() {
        let known = vec![candidate(1, "v1", 9, 0)];
        let whole = known[0].release.to_string();
        let by = |text: &str, follows: &[u8], only| ask(text, follows, only, known.clone());
        for digits in [4, 8, 63] {
            let strangers = Resolution::Strangers(known.clone());
            assert_eq!(by(&whole[..digits], &[], None), strangers, "{digits} digits");
            for (follows, only) in [(&[1][..], None), (&[], Some(1))] {
                assert_eq!(by(&whole[..digits], follows, only), Resolution::Found(known.clone()));
            }
        }
        assert_eq!(by(&whole, &[], None), Resolution::Found(known.clone()));
    }

    #[test]
    fn one_image_of_two_registries_is_one_if_the_bytes_agree() {
        let mut known = vec![candidate(1, "v1", 9, 0), candidate(1, "v1", 9, 1)];
        for (candidate, host) in known.iter_mut().zip(["quay.io", "docker.io"]) {
            let purl = format!("pkg:docker/minio/minio@v1?repository_url={host}");
            candidate.purl = Purl::parse(&purl).unwrap();
        }
        assert!(matches!(ask("pkg:docker/minio/minio@v1", &[1], None, known.clone()),
                Resolution::Found(f) if f.len() == 2));
        known[1].artifacts = BlobId::from_bytes([8; 32]);
        for text in ["pkg:docker/minio/minio@v1", "minio:v1", "minio/minio@v1"] {
            assert!(
                matches!(ask(text, &[1], None, known.clone()),
                    Resolution::Ambiguous(a) if a.len() == 2),
                "{text}"
            );
        }
        for text in ["quay.io/minio/minio:v1", known[0].purl.as_str()] {
            let found = Resolution::Found(known[..1].to_vec());
            assert_eq!(ask(text, &[1], None, known.clone()), found, "{text}");
        }
        // A purl without qualifiers that is itself a name means that one.
        known[1].purl = Purl::parse("pkg:docker/minio/minio@v1").unwrap();
        assert_eq!(
            ask("pkg:docker/minio/minio@v1", &[1], None, known.clone()),
            Resolution::Found(known[1..].to_vec())
        );
    }

    #[test]
    fn strangers_cannot_change_what_a_name_means() {
        let known =
            vec![candidate(1, "v1", 9, 0), candidate(2, "v1", 8, 7), candidate(3, "v2", 7, 0)];
        let found = ask("kubekey", &[1], None, known.clone());
        assert_eq!(
            found,
            Resolution::Found(known[..1].to_vec()),
            "neither their bytes nor their versions count"
        );
        // An older release is still available by its id, from any publisher.
        assert_eq!(
            ask(&known[1].release.to_string(), &[1], None, known.clone()),
            Resolution::Found(known[1..2].to_vec())
        );
        assert!(
            matches!(ask("kubekey", &[], Some(4), known), Resolution::Strangers(s) if s.len() == 3)
        );
    }

    #[test]
    fn resolution_does_not_depend_on_the_order_of_entries() {
        let mut known =
            vec![candidate(1, "v1", 9, 0), candidate(1, "v1", 8, 1), candidate(2, "v1", 8, 0)];
        let found = ask("kubekey@v1", &[1, 2], None, known.clone());
        known.reverse();
        assert_eq!(ask("kubekey@v1", &[1, 2], None, known), found);
        assert!(matches!(found, Resolution::Found(f) if f.len() == 2));
    }
}
