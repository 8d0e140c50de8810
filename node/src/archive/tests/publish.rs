//! Publishing: signed once, durable before it is announced, complete or not begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use perennial_import::{Failed, ImportError, Imported};
use perennial_manifest::{
    Artifact, ArtifactPath, BlobId, Body, Draft, EntryId, Observation, PublisherKind, Resolution,
    Role, Selector, StatusKind, Target, Verdict,
};
use perennial_operation::{Add, ErrorKind, Progress, Stage};
use perennial_store::Pin;

use super::{Machine, ParsePurl, Told, kind_of};
use crate::archive::import::upstream_check;
use crate::archive::{ArchiveError, Observer, PublishOptions, SignError};

const THING: &str = "pkg:generic/thing@1";

pub(super) fn draft(machine: &Machine, purl: &str, bytes: &[u8], url: Option<&str>) -> Draft {
    let mut batch = machine.store().batch();
    let added = batch.add_bytes(bytes.to_vec()).unwrap();
    // Dropping the lease is safe: no collection runs.
    drop(batch.commit().unwrap());
    Draft {
        purl: purl.parse_purl(),
        license: Some("MIT".into()),
        artifacts: vec![Artifact {
            origins: url.map(str::to_owned).into_iter().collect(),
            ..added.artifact(ArtifactPath::parse("f").unwrap(), Role::Binary, "text/plain")
        }],
        from: url.unwrap_or("test").into(),
        tags: Default::default(),
        observations: Vec::new(),
        notes: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_announced_once_and_after_it_is_durable() {
    let machine = Machine::new(1);
    let added = machine.add(THING, &[("a", b"one"), ("b", b"two")]).await;
    machine.until(|told| told.contains(&Told::Held(added.release))).await;
    let expected = [Told::Publish("profile"), Told::Publish("release"), Told::Held(added.release)];
    assert_eq!(machine.told(), expected);
    assert_eq!(machine.world().hasty, 0, "peers heard of something that a crash could undo");
    assert_eq!((added.artifacts, added.bytes, added.new_bytes), (2, 6, 6));
    let again = machine.add("pkg:generic/thing@2", &[("a", b"one"), ("c", b"3")]).await;
    assert_eq!((again.artifacts, again.bytes, again.new_bytes), (2, 4, 1));
    assert_eq!(machine.count(|told| *told == Told::Publish("profile")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_published_though_its_client_disconnects() {
    let machine = Machine::new(1);
    let draft = draft(&machine, THING, b"bytes", None);
    let mut publish = Box::pin(machine.archive.publish(draft, PublishOptions::default()));
    assert!((&mut publish).now_or_never().is_none(), "it cannot be done yet");
    drop(publish);
    machine.until(|told| told.iter().any(|told| matches!(told, Told::Held(_)))).await;
    let own = machine.archive.publisher();
    let selector = "thing@1".parse::<Selector>().unwrap();
    let resolved = machine.store().resolve(&selector, &own, None).unwrap();
    assert!(matches!(resolved, Resolution::Found(found) if found.len() == 1));
    assert_eq!(machine.world().hasty, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_named_below_their_directory_and_keep_what_matters() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new(1);
    let dir = machine.files(&[("bin/tool", b"#!"), ("LICENSE", b"MIT"), ("sums.sha256", b"0")]);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.join("bin/tool"), executable).unwrap();
    let add = Add::new([dir], THING.parse_purl());
    let added = machine.archive.add(add, Arc::new(())).await.unwrap();
    let row = machine.store().release(&added.release).unwrap().unwrap();
    let list = machine.store().read_list(&row.artifacts).unwrap().unwrap();
    let files: Vec<_> =
        list.iter().map(|file| (file.path.as_str(), file.exec, file.role)).collect();
    let expected = [
        ("LICENSE", false, Role::Licence),
        ("bin/tool", true, Role::Binary),
        ("sums.sha256", false, Role::Checksums),
    ];
    assert_eq!(files, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_release_signs_nothing() {
    let machine = Machine::new(1);
    let add =
        |purl: &str, dir| machine.archive.add(Add::new([dir], purl.parse_purl()), Arc::new(()));

    let dir = machine.files(&[("a", b"one")]);
    let refused = add("pkg:generic/thing", dir.clone()).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::NoVersion(_)), "{refused}");
    assert_eq!((refused.kind(), refused.hint().is_some()), (ErrorKind::Usage, true));

    std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
    let refused = add(THING, dir.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    assert!(refused.to_string().contains("link"), "{refused}");

    let refused = add(THING, dir.join("missing")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Failed);
    assert!(refused.to_string().contains("missing"), "{refused}");

    let empty = machine.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let refused = add(THING, empty).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::NoFiles), "{refused}");
    assert_eq!(machine.told(), []);
    assert_eq!(machine.feed().len(), 0);
}

/// A client that leaves after the first file and records the progress it receives.
#[derive(Default)]
struct Leaver {
    left: AtomicBool,
}

impl Observer for Leaver {
    fn progress(&self, progress: Progress) {
        assert_eq!(progress.stage, Stage::Storing);
        assert_eq!(progress.total_items, Some(2));
        self.left.store(true, Ordering::SeqCst);
    }

    fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_that_is_cancelled_signs_nothing() {
    let machine = Machine::new(1);
    let add = Add::new([machine.files(&[("a", b"one"), ("b", b"two")])], THING.parse_purl());
    let cancelled = machine.archive.add(add, Arc::new(Leaver::default())).await.unwrap_err();
    assert!(matches!(cancelled, ArchiveError::Cancelled), "{cancelled}");
    assert_eq!((machine.told(), machine.feed().len()), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_publisher_kind_is_signed_in_a_profile() {
    let machine = Machine::new(1);
    machine.add(THING, &[("a", b"one")]).await;
    let options = PublishOptions { kind: Some(PublisherKind::Upstream), ..Default::default() };
    for version in [2, 3] {
        let draft = draft(&machine, &format!("pkg:generic/thing@{version}"), b"x", None);
        machine.archive.publish(draft, options.clone()).await.unwrap();
    }
    let feed = machine.feed();
    let kinds: Vec<_> = feed.iter().map(|entry| kind_of(&entry.entry().body)).collect();
    assert_eq!(kinds, ["profile", "release", "profile", "release", "release"]);
    let own = machine.archive.publisher();
    assert_eq!(machine.store().publisher_kind(&own).unwrap(), Some(PublisherKind::Upstream));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yank_is_signed_and_announced_and_the_bytes_stay() {
    let machine = Machine::new(1);
    let added = machine.add(THING, &[("a", b"one")]).await;
    machine.archive.yank(added.release, "broken".into(), Vec::new()).await.unwrap();
    machine.until(|told| told.contains(&Told::Publish("status"))).await;
    let feed = machine.feed();
    let last = &feed.last().unwrap().entry().body;
    let Body::Status(status) = last else { panic!("{last:?}") };
    assert_eq!((status.status, &*status.text), (StatusKind::Yanked, "broken"));
    assert_eq!(status.target, Target::Release(added.release.entry()));
    assert_eq!(machine.state(&added.release), Some(perennial_manifest::Holding::Held));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_number_seen_taken_is_not_signed_again() {
    let machine = Machine::new(1);
    machine.add(THING, &[("a", b"one")]).await;
    let own = machine.archive.publisher();
    // Another machine with this key extended the feed.
    machine.store().watch(&own).unwrap();
    machine.store().see(&own, 9, EntryId::from_bytes([7; 32])).unwrap();
    let draft = draft(&machine, "pkg:generic/thing@2", b"x", None);
    let refused = machine.archive.publish(draft, PublishOptions::default()).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Sign(SignError::Refused(_))), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("--peer")));
    assert_eq!(machine.feed().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_not_forked_is_not_merged() {
    let machine = Machine::new(1);
    machine.add(THING, &[("a", b"one")]).await;
    let refused = machine.archive.merge().await.unwrap_err();
    assert!(matches!(refused, ArchiveError::NotForked), "{refused}");
}

const URL: &str = "https://upstream.example/f";

async fn archived() -> Machine {
    let machine = Machine::new(1);
    let draft = draft(&machine, THING, b"the first", Some(URL));
    machine.archive.publish(draft, PublishOptions::default()).await.unwrap();
    machine
}

/// The result of the check for an outcome of importing again.
async fn check(
    machine: &Machine,
    outcome: Result<Imported, ImportError>,
) -> Result<Imported, ArchiveError> {
    let purl = THING.parse_purl();
    machine.archive.signing(move |signing| upstream_check::check(signing, &purl, outcome)).await
}

fn seen(machine: &Machine) -> Vec<(String, Verdict)> {
    let bodies = machine.feed().into_iter().map(|signed| signed.entry().body.clone());
    bodies
        .filter_map(|body| match body {
            Body::Observation(seen) => Some((seen.url, seen.verdict)),
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_gone_is_signed_as_seen_and_keeps_the_name() {
    let machine = archived().await;
    let gone = ImportError::Gone { what: URL.into(), reason: "404".into() };
    let refused = check(&machine, Err(gone)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.to_string().contains("still means"), "{refused}");
    assert!(std::error::Error::source(&refused).is_some());
    assert_eq!(seen(&machine), [(URL.to_owned(), Verdict::Gone)]);
    machine.until(|told| told.contains(&Told::Publish("observation"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_are_signed_as_changed_and_the_same_bytes_pass() {
    let machine = archived().await;
    let other = draft(&machine, THING, b"the other", Some(URL));
    let observation = Observation {
        url: URL.into(),
        fetched_at: 1,
        status: Some(200),
        etag: None,
        last_modified: None,
        size: Some(9),
        blake3: Some(BlobId::of(b"the other")),
        sha256: None,
        verdict: Verdict::Same,
    };
    let other = Draft { observations: vec![observation], ..other };
    let imported = Imported { drafts: vec![other], ..Imported::default() };
    let refused = check(&machine, Ok(imported)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Verification);
    assert_eq!(seen(&machine), [(URL.to_owned(), Verdict::Changed)]);

    let same = draft(&machine, THING, b"the first", Some(URL));
    let imported = Imported { drafts: vec![same], ..Imported::default() };
    assert_eq!(check(&machine, Ok(imported)).await.unwrap().drafts.len(), 1);
    assert_eq!(seen(&machine).len(), 1, "nothing more to say");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_for_another_reason_is_only_an_error() {
    let machine = archived().await;
    let down = ImportError::Upstream { what: URL.into(), reason: "no route".into() };
    let refused = check(&machine, Err(down)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Failed);
    let elsewhere = Failed::new("https://else.example/f", "404");
    let imported = Imported { failed: vec![elsewhere], ..Imported::default() };
    check(&machine, Ok(imported)).await.unwrap();
    assert_eq!(seen(&machine), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_release_again_signs_nothing() {
    let machine = Machine::new(1);
    let publish = async |draft, again| {
        let options = PublishOptions { again, ..PublishOptions::default() };
        machine.archive.publish(draft, options.clone()).await.unwrap()
    };
    let same = || draft(&machine, THING, b"one", None);
    let first = publish(same(), false).await;
    assert!(!first.already);
    for _ in 0..3 {
        let again = publish(same(), false).await;
        assert_eq!((again.release, again.already), (first.release, true));
    }
    let unstated = publish(Draft { license: None, ..same() }, false).await;
    assert_eq!((unstated.release, unstated.already), (first.release, true));
    assert_eq!(machine.feed().len(), 2, "a profile and a release");

    assert!(!publish(same(), true).await.already, "it was asked for");
    let other_licence = Draft { license: Some("Apache-2.0".into()), ..same() };
    assert!(!publish(other_licence, false).await.already);
    assert!(!publish(draft(&machine, THING, b"two", None), false).await.already);
    assert!(!publish(same(), false).await.already, "the last release of the name has other bytes");
    assert!(!publish(draft(&machine, "pkg:generic/thing@2", b"one", None), false).await.already);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yanked_release_is_signed_anew_and_an_unpinned_one_is_pinned() {
    let machine = Machine::new(1);
    let first = machine.add(THING, &[("a", b"one")]).await;
    machine.store().set_pin(Pin::Release(first.release), false).unwrap();
    let again = machine.add(THING, &[("a", b"one")]).await;
    assert_eq!((again.release, again.already), (first.release, true));
    assert!(machine.store().pins().contains(&Pin::Release(first.release)));
    machine.archive.yank(first.release, "broken".into(), Vec::new()).await.unwrap();
    let anew = machine.add(THING, &[("a", b"one")]).await;
    assert!(!anew.already && anew.release != first.release);
}

#[tokio::test(flavor = "multi_thread")]
async fn details_that_change_at_each_visit_make_no_new_release() {
    let machine = Machine::new(1);
    let with = |origins: &[&str], index: &[u8]| {
        let mut draft = draft(&machine, "pkg:helm/thing@1", b"chart", None);
        let mut listed = self::draft(&machine, "pkg:helm/thing@1", index, None).artifacts.remove(0);
        listed.path = perennial_manifest::ArtifactPath::parse("index.yaml").unwrap();
        listed.role = Role::Index;
        draft.artifacts[0].role = Role::Chart;
        draft.artifacts[0].origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        draft.artifacts.push(listed);
        machine.archive.publish(draft, PublishOptions::default())
    };
    let first = with(&[URL, "https://cdn.example/f?signature=1"], b"generated: 1").await.unwrap();
    let second = with(&[URL, "https://cdn.example/f?signature=2"], b"generated: 2").await.unwrap();
    assert_eq!((second.release, second.already), (first.release, true));
    let elsewhere = with(&["https://mirror.example/f"], b"generated: 2").await.unwrap();
    assert!(!elsewhere.already, "another place is news");
}

/// What told them apart was a token, which is not signed.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_signed_url_do_not_contradict_each_other() {
    let machine = Machine::new(1);
    let both = || {
        let mut draft = draft(&machine, THING, b"one", Some(URL));
        let mut second = self::draft(&machine, THING, b"two", Some(URL)).artifacts.remove(0);
        second.path = ArtifactPath::parse("g").unwrap();
        draft.artifacts.push(second);
        draft
    };
    machine.archive.publish(both(), PublishOptions::default()).await.unwrap();
    let imported = Imported { drafts: vec![both()], ..Imported::default() };
    assert_eq!(check(&machine, Ok(imported)).await.unwrap().drafts.len(), 1);
    // A third beside them is news, and one in their place is not.
    let third = || {
        let mut third = self::draft(&machine, THING, b"three", Some(URL)).artifacts.remove(0);
        third.path = ArtifactPath::parse("h").unwrap();
        third
    };
    let more = Draft { artifacts: [both().artifacts, vec![third()]].concat(), ..both() };
    let gone = Failed::new(URL, "it is gone").of(ErrorKind::NotFound);
    let failed = vec![gone.clone()];
    let imported = Imported { drafts: vec![more], failed, ..Imported::default() };
    assert_eq!(check(&machine, Ok(imported)).await.unwrap().drafts.len(), 1);
    for (artifacts, failed) in [(vec![third()], vec![]), (Vec::new(), vec![gone])] {
        let drafts = vec![Draft { artifacts, ..both() }];
        let imported = Imported { drafts, failed, ..Imported::default() };
        assert_eq!(
            check(&machine, Ok(imported)).await.unwrap_err().kind(),
            ErrorKind::Verification
        );
    }
    let mut changed = both();
    changed.artifacts[1].blake3 = BlobId::of(b"three");
    let imported = Imported { drafts: vec![changed], ..Imported::default() };
    assert_eq!(check(&machine, Ok(imported)).await.unwrap_err().kind(), ErrorKind::Verification);
    // An earlier version signed the URL with its token.
    let old = draft(&machine, "pkg:generic/old@1", b"one", Some("https://a.test/f?token=1"));
    let keep = PublishOptions { keep_query: true, ..PublishOptions::default() };
    machine.archive.publish(old, keep).await.unwrap();
    let same = draft(&machine, "pkg:generic/old@1", b"one", Some("https://a.test/f"));
    assert!(machine.archive.publish(same, PublishOptions::default()).await.unwrap().already);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_draft_has_no_secret_of_it_is_signed() {
    let machine = Machine::new(1);
    let url = "https://me:SECRET@a.test/f?sig=SECRET&v=1";
    let mut leaky = draft(&machine, THING, b"one", Some(url));
    leaky.notes = Some(format!("from {url}"));
    let done = machine.archive.publish(leaky, PublishOptions::default()).await.unwrap();
    assert_eq!(done.remarks.len(), 5, "{:?}", done.remarks);
    let list = machine.store().artifact_list(&done.release).unwrap().unwrap();
    let signed = format!("{:?} {list:?}", machine.feed());
    assert!(!signed.contains("SECRET") && signed.contains("https://a.test/f?v=1"), "{signed}");
    let named = "pkg:generic/x@1?download_url=https://a.test/x%3Ftoken%3DSECRET";
    let leaky = draft(&machine, named, b"one", None);
    let refused = machine.archive.publish(leaky, PublishOptions::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    assert!(!refused.to_string().contains("SECRET"), "{refused}");
}
