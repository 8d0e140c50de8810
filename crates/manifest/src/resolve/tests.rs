//! Names, and the publishers that agree and disagree on them.

use super::*;
use crate::{BlobId, EntryId, Keypair};

fn list(bytes: u8) -> ArtifactListRef {
    ArtifactListRef { blob: BlobId::from_bytes([bytes; 32]), count: 1, bytes: 1, size: 100 }
}

fn candidate(publisher: u8, version: &str, bytes: u8, seq: u64) -> Candidate {
    Candidate {
        release: EntryId::from_bytes([publisher.wrapping_mul(16) ^ bytes ^ (seq as u8); 32]).into(),
        publisher: Keypair::from_seed([publisher; 32]).id(),
        purl: Purl::generic("kubekey", version).unwrap(),
        artifacts: list(bytes),
        content: None,
        seq,
        forked: false,
    }
}

fn ask(selector: &str, follows: &[u8], only: Option<u8>, candidates: Vec<Candidate>) -> Resolution {
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
    known[1].artifacts = list(8);
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
    let known = vec![candidate(1, "v1", 9, 0), candidate(2, "v1", 8, 7), candidate(3, "v2", 7, 0)];
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

#[test]
fn lists_of_one_content_agree_wherever_the_bytes_came_from() {
    let content = |bytes: u8| Some(ContentId::from_bytes([bytes; 32]));
    let ask = |known: &[Candidate]| ask("kubekey@v1", &[1, 2, 3], None, known.to_vec());
    let mut known = vec![candidate(1, "v1", 9, 0), candidate(2, "v1", 8, 0)];
    // Neither list is here: both have to come.
    let undecided = ask(&known);
    assert!(matches!(undecided, Resolution::Conflict(_)));
    assert_eq!(undecided.undecided().len(), 2);
    known[0].content = content(1);
    assert_eq!(ask(&known).undecided(), [&known[1]]);
    known[1].content = content(1);
    assert!(matches!(ask(&known), Resolution::Found(all) if all.len() == 2));
    known[1].content = content(2);
    let differ = ask(&known);
    assert!(matches!(differ, Resolution::Conflict(_)) && differ.undecided().is_empty());
    // Numbers that differ need no list.
    known[1].content = None;
    known[1].artifacts.bytes = 2;
    assert!(ask(&known).undecided().is_empty());
    // Nothing that comes could end a disagreement of the others.
    known[1].artifacts.bytes = 1;
    known.push(Candidate { content: content(2), ..candidate(3, "v1", 7, 0) });
    assert!(ask(&known).undecided().is_empty());
}
