//! Name resolution: through trust, through peers, and never to bytes of untrusted publishers.

use std::slice;
use std::time::{Duration, Instant};

use perennial_manifest::{PublisherRef, Selector};
use perennial_operation::ErrorKind;

use super::publish::draft;
use super::{Machine, Told};
use crate::archive::{ArchiveError, Claim, PublishOptions, Unresolved};

fn name(text: &str) -> Selector {
    text.parse().unwrap()
}

fn unresolved(error: &ArchiveError) -> &Unresolved {
    match error {
        ArchiveError::Unresolved(unresolved) => unresolved,
        other => panic!("{other}"),
    }
}

fn publishers(error: &ArchiveError) -> Vec<String> {
    let claims: &[Claim] = error.claims();
    claims.iter().map(|claim| claim.candidate.publisher.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_resolves_to_a_followed_publishers_release() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let added = other.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    machine.learn(&other);
    machine.follow(added.publisher).await;
    let found = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap();
    assert_eq!((found.len(), found[0].release), (1, added.release));
    assert_eq!(machine.told(), [Told::Follows], "no peer was needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_publisher_not_heard_of_yet_may_disagree() {
    let (machine, one, other) = (Machine::new(1), Machine::new(2), Machine::new(3));
    let added = one.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    other.add("pkg:generic/thing@1", &[("a", b"other")]).await;
    machine.learn(&one);
    machine.follow(one.archive.publisher()).await;
    machine.follow(other.archive.publisher()).await;
    machine.world().entries = other.feed();
    let refused = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap_err();
    assert!(matches!(unresolved(&refused), Unresolved::Conflict { .. }), "{refused}");
    // The id means one thing, and needs no peer.
    let before = machine.told();
    let id = Selector::Release(added.release);
    machine.archive.resolve(&id, None, true, &()).await.unwrap();
    assert_eq!(machine.told(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_named_by_its_id_or_its_local_name() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let publisher = other.archive.publisher();
    let named =
        |text: &str| machine.archive.publisher_named(&text.parse::<PublisherRef>().unwrap());
    assert_eq!(named(&publisher.to_string()).unwrap(), publisher);
    assert!(matches!(named("savers"), Err(ArchiveError::UnknownPublisher(_))));
    machine.archive.follow(publisher, Some("savers".parse().unwrap()), None).await.unwrap();
    assert_eq!(named("savers").unwrap(), publisher);
    machine.archive.unfollow(publisher).await.unwrap();
    let again = machine.archive.unfollow(publisher).await.unwrap_err();
    assert!(matches!(again, ArchiveError::NotFollowed(_)));
    assert_eq!(again.kind(), ErrorKind::NotFound);
    machine.until(|told| told == [Told::Follows, Told::Follows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_release_is_shown_and_not_fetched() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let added = other.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    machine.learn(&other);
    let refused = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap_err();
    assert!(matches!(unresolved(&refused), Unresolved::Strangers { .. }));
    assert_eq!(refused.kind(), ErrorKind::Strangers);
    assert_eq!(publishers(&refused), [added.publisher.to_string()]);
    assert_eq!(refused.claims()[0].artifacts, 1);
    assert_eq!(machine.told(), []);
    // The user may select an untrusted publisher, or the release by id: the former is a decision of
    // trust, the latter needs none.
    let only = Some(added.publisher);
    assert!(machine.archive.resolve(&name("thing@1"), only, true, &()).await.is_ok());
    let release = Selector::Release(added.release);
    assert!(machine.archive.resolve(&release, None, true, &()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn show_needs_no_trust_and_names_the_signers_for_a_wrong_publisher() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let added = other.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    machine.learn(&other);
    let shown = machine.archive.look(&name("thing"), None, &()).await.unwrap();
    assert_eq!(shown[0].release, added.release);
    let me = machine.archive.publisher();
    let refused = machine.archive.look(&name("thing"), Some(me), &()).await.unwrap_err();
    let said = format!("{me} signed no thing; these publishers did");
    assert_eq!((refused.to_string(), publishers(&refused).len()), (said, 1));
    let third = Machine::new(3);
    third.add("pkg:generic/thing@2", &[("a", b"two")]).await;
    machine.learn(&third);
    let two = machine.archive.look(&name("thing"), None, &()).await.unwrap_err();
    assert!(matches!(unresolved(&two), Unresolved::Ambiguous { claims, .. } if claims.len() == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn near_misses_are_named_nearest_first() {
    let machine = Machine::new(1);
    machine.add("pkg:generic/kubekey@v3.1.0", &[("a", b"one")]).await;
    machine.add("pkg:generic/kubekey@v2.0.0", &[("a", b"two")]).await;
    machine.add("pkg:docker/minio/minio@v1?repository_url=quay.io", &[("a", b"three")]).await;
    for (given, known) in [
        ("kubekey@v3.1", "kubekey@v3.1.0, kubekey@v2.0.0"),
        ("Kubekey:3.1.0", "kubekey@v3.1.0, kubekey@v2.0.0"),
        ("kubekye@v2.0.0", "kubekey@v2.0.0, kubekey@v3.1.0"),
        ("docker.io/minio/minio:v2", "quay.io/minio/minio:v1"),
    ] {
        let missed = machine.archive.resolve(&name(given), None, true, &()).await.unwrap_err();
        let said = missed.to_string();
        assert!(said.ends_with(&format!("; known are: {known}")), "{said}");
        assert_eq!(missed.kind(), ErrorKind::NotFound);
    }
    let far = machine.archive.resolve(&name("other"), None, true, &()).await.unwrap_err();
    assert!(!far.to_string().contains("known are"), "{far}");
}

/// Upstreams redirect each visitor elsewhere, so the lists of two archivists differ.
#[tokio::test(flavor = "multi_thread")]
async fn archivists_of_the_same_bytes_agree_wherever_these_came_from() {
    let (machine, one, two) = (Machine::new(1), Machine::new(2), Machine::new(3));
    machine.archive.network.connect(Vec::new(), Duration::ZERO).await;
    let mut lists = Vec::new();
    for (other, url) in [(&one, "https://one.example/f"), (&two, "https://two.example/f")] {
        let draft = draft(other, "pkg:generic/thing@1", b"the same", Some(url));
        let done = other.archive.publish(draft, PublishOptions::default()).await.unwrap();
        machine.learn(other);
        machine.follow(done.publisher).await;
        lists.push(machine.store().release(&done.release).unwrap().unwrap().artifacts.blob);
    }
    assert_ne!(lists[0], lists[1]);
    // Only the statements are here. The lists come, because the meaning of the name hangs on them.
    let thing = name("thing@1");
    let here = || machine.archive.resolve(&thing, None, false, &());
    assert_eq!(here().await.unwrap_err().kind(), ErrorKind::Conflict);
    let found = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(here().await.unwrap().len(), 2, "it is remembered");
    // The one that is held is meant first: it needs no peer.
    machine.archive.fetch(found[1].release, &()).await.unwrap();
    assert_eq!(here().await.unwrap()[0].release, found[1].release);
    // An executable file is another thing than a plain one.
    let third = Machine::new(4);
    let mut other = draft(&third, "pkg:generic/thing@1", b"the same", None);
    other.artifacts[0].exec = true;
    let done = third.archive.publish(other, PublishOptions::default()).await.unwrap();
    machine.learn(&third);
    machine.follow(done.publisher).await;
    let refused = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap_err();
    assert_eq!((refused.kind(), publishers(&refused).len()), (ErrorKind::Conflict, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_publishers_that_disagree_are_a_conflict() {
    let (machine, one, two) = (Machine::new(1), Machine::new(2), Machine::new(3));
    for (other, bytes) in [(&one, b"one"), (&two, b"two")] {
        other.add("pkg:generic/thing@1", &[("a", bytes)]).await;
        machine.learn(other);
        machine.follow(other.archive.publisher()).await;
    }
    let refused = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap_err();
    assert!(matches!(unresolved(&refused), Unresolved::Conflict { .. }));
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let mut both = publishers(&refused);
    both.sort();
    let mut expected = [one.archive.publisher().to_string(), two.archive.publisher().to_string()];
    expected.sort();
    assert_eq!(both, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_asked_for_an_unknown_name() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let added = other.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    machine.follow(added.publisher).await;
    let unknown = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap_err();
    assert!(matches!(unresolved(&unknown), Unresolved::NotFound { asked: Some(0), .. }));
    assert_eq!(unknown.kind(), ErrorKind::NotFound);

    machine.world().entries = other.feed();
    let found = machine.archive.resolve(&name("thing@1"), None, true, &()).await.unwrap();
    assert_eq!(found[0].release, added.release);
    let local = machine.archive.resolve(&name("else@1"), None, false, &()).await.unwrap_err();
    assert!(matches!(unresolved(&local), Unresolved::NotFound { asked: None, .. }));
}

/// The look-up returns the release; the profile before it arrives with the feed, slightly later.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_waits_for_its_feed_and_is_told_when_it_comes() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    let added = other.add("pkg:generic/thing@1", &[("a", b"one")]).await;
    machine.follow(added.publisher).await;
    let feed = other.feed();
    let (profile, release) = (feed[..1].to_vec(), feed[1..].to_vec());
    machine.world().entries = release;
    let started = Instant::now();
    let comes = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        machine.store().put_entries(&profile).unwrap();
        machine.stored.send_modify(|batches| *batches += 1);
    };
    let selector = name("thing@1");
    let (found, ()) = tokio::join!(machine.archive.resolve(&selector, None, true, &()), comes);
    assert_eq!(found.unwrap()[0].release, added.release);
    assert!(started.elapsed() < Duration::from_secs(8), "it was not told");
}

#[tokio::test]
async fn a_long_feed_is_waited_for_while_it_arrives() {
    let (machine, other) = (Machine::new(1), Machine::new(2));
    for version in 1..7 {
        other.add(&format!("pkg:generic/thing@{version}"), &[("a", b"one")]).await;
    }
    let mut earlier = other.feed();
    let last = earlier.pop().unwrap();
    let (started, silence) = (Instant::now(), Duration::from_secs(4));
    let comes = async {
        for entry in &earlier {
            // Well within the silence; all together beyond it.
            tokio::time::sleep(silence / 4).await;
            machine.store().put_entries(slice::from_ref(entry)).unwrap();
            machine.stored.send_modify(|batches| *batches += 1);
        }
    };
    let waits = machine.archive.take_in_within(vec![last.clone()], silence);
    let (taken, ()) = tokio::join!(waits, comes);
    taken.unwrap();
    assert!(machine.store().has_entry(&last.id()).unwrap());
    assert!(started.elapsed() > silence, "the feed took longer than one silence");
}
