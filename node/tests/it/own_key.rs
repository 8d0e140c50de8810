//! A key that was copied: its feed is asked for before anything is signed, and twins see each
//! other.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use perennial_control::{ErrorKind, Key, NewFeed, Status};
use perennial_node::{Config, Node};

use crate::machine::Machine;

/// A directory with nothing but the keys of another, as a backup restores them.
fn keys_of(data: &Path, names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    copy(&data.join("keys"), &dir.path().join("data/keys"), names);
    dir
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    fs::create_dir_all(to).expect("ours");
    for name in names {
        fs::copy(from.join(name), to.join(name)).expect("copied");
    }
}

async fn entries(machine: &Machine) -> (u64, bool) {
    let (key, _) = machine.ask(Key).await.expect("a key");
    (key.entries, key.forked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_key_continues_its_feed_without_a_fork() {
    let a = Machine::start(&[], &[]).await;
    let one = a.add_as("pkg:generic/thing@1", &[("f", b"1")]).await.expect("added");
    let friend = Machine::start(&[&a], &[one.publisher]).await;
    friend.until(&one.release, perennial_manifest::Holding::Held).await;
    let restored = keys_of(&a.data(), &["publisher.key"]);
    drop(a.stop().await);

    let restored = Machine::on(restored, &[&friend], &[]).await;
    let two = restored.add_as("pkg:generic/thing@2", &[("f", b"2")]).await.expect("added");
    assert_eq!(two.publisher, one.publisher);
    assert_eq!(entries(&restored).await, (3, false), "a profile and two releases");
    friend.until(&two.release, perennial_manifest::Holding::Held).await;
    let notices = friend.ask(Status).await.expect("a status").0.notices;
    assert!(notices.iter().all(|notice| !notice.contains("two histories")), "{notices:?}");
    // It is known now, with or without peers.
    let alone = Machine::on(restored.stop().await, &[], &[]).await;
    alone.add_as("pkg:generic/thing@3", &[("f", b"3")]).await.expect("added");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_key_without_its_feed_signs_nothing_unless_told_to_begin() {
    let a = Machine::start(&[], &[]).await;
    a.add(&[("f", b"1")]).await;
    let stranger = Machine::start(&[], &[]).await;
    for peers in [vec![], vec![&stranger]] {
        let restored = Machine::on(keys_of(&a.data(), &["publisher.key"]), &peers, &[]).await;
        let refused = restored.add_as("pkg:generic/other@1", &[("f", b"2")]).await;
        let refused = refused.expect_err("it may fork");
        // Without a peer, none could be reached; one that answers does not know the feed.
        let kind = if peers.is_empty() { ErrorKind::Unreachable } else { ErrorKind::Failed };
        assert_eq!(refused.code, kind);
        assert!(refused.message.contains("may have signed elsewhere"), "{refused:?}");
        let hint = refused.hint.expect("a way on");
        assert!(hint.contains("--peer") && hint.contains("--new-feed"), "{hint}");
        // A restart does not make it new.
        let restored = Machine::on(restored.stop().await, &[], &[]).await;
        restored.add_as("pkg:generic/other@1", &[("f", b"2")]).await.expect_err("still");
        restored.ask(NewFeed).await.expect("begun");
        restored.add_as("pkg:generic/other@1", &[("f", b"2")]).await.expect("told so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_made_here_and_older_directories_sign_without_asking() {
    let fresh = Machine::start(&[], &[]).await;
    let dir = fresh.stop().await;
    // As an earlier version left it: a key that has signed nothing, and no note of its origin.
    fs::remove_file(dir.path().join("data/state/own-feed.json")).expect("was noted");
    let earlier = Machine::on(dir, &[], &[]).await;
    earlier.add(&[("f", b"1")]).await;
    let again = Machine::on(earlier.stop().await, &[], &[]).await;
    again.add_as("pkg:generic/thing@2", &[("f", b"2")]).await.expect("added");

    // Another key in the place of the own one is a copied one.
    let other = Machine::start(&[], &[]).await;
    let key = other.data().join("keys/publisher.key");
    let dir = Machine::start(&[], &[]).await.stop().await;
    fs::copy(key, dir.path().join("data/keys/publisher.key")).expect("copied");
    let replaced = Machine::on(dir, &[], &[]).await;
    replaced.add_as("pkg:generic/thing@1", &[("f", b"1")]).await.expect_err("it may fork");
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_see_each_other_before_the_second_one_signs() {
    let dir = Machine::start(&[], &[]).await.stop().await;
    let copied = tempfile::tempdir().expect("a directory");
    for part in ["keys", "state"] {
        let names: Vec<_> = fs::read_dir(dir.path().join("data").join(part))
            .expect("a folder")
            .map(|file| file.expect("readable").file_name().into_string().expect("text"))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        copy(&dir.path().join("data").join(part), &copied.path().join("data").join(part), &names);
    }
    let original = Machine::on(dir, &[], &[]).await;
    let address = original.node.addresses().remove(0);
    let config = Config {
        peers: vec![address.split("/p2p/").next().expect("an address").to_owned()],
        ..Config::embedded(copied.path().join("data"))
    };
    let copy = Machine { node: Node::start(config).await.expect("a node"), dir: copied };
    assert_eq!(copy.node.peer_id(), original.node.peer_id());
    let refused = copy.add_as("pkg:generic/thing@1", &[("f", b"1")]).await.expect_err("a twin");
    assert!(refused.message.contains("another node uses this node's keys"), "{refused:?}");
    assert!(refused.hint.expect("a way on").contains("stop one"));

    // The one that was called knows as well, whichever transport the call came by.
    for machine in [&copy, &original] {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            let notices = machine.ask(Status).await.expect("a status").0.notices;
            if notices.iter().any(|notice| notice.contains("another node uses")) {
                break;
            }
            assert!(Instant::now() < give_up, "{notices:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let refused = machine.add_as("pkg:generic/thing@2", &[("f", b"2")]).await;
        let refused = refused.expect_err("a twin");
        assert!(refused.message.contains("another node uses this node's keys"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dials_its_own_address_has_no_twin() {
    let machine = Machine::start(&[], &[]).await;
    let own = machine.node.addresses().remove(0);
    let nameless = own.split("/p2p/").next().expect("an address").to_owned();
    let connect = perennial_control::Connect { peers: vec![nameless], wait_ms: 10_000 };
    let done = machine.ask(connect).await.expect("an outcome").0;
    assert!(!done.reached && done.unreached[0].reason.contains("itself listens"), "{done:?}");
    machine.add(&[("f", b"1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_calls_itself_by_a_name_has_no_twin() {
    let machine = Machine::start(&[], &[]).await;
    let own = machine.node.addresses().remove(0);
    let port = own.split('/').nth(4).expect("a port");
    let connect = perennial_control::Connect {
        peers: vec![format!("/dns4/localhost/tcp/{port}")],
        wait_ms: 10_000,
    };
    let done = machine.ask(connect).await.expect("an outcome").0;
    assert!(!done.reached, "{done:?}");
    machine.add(&[("f", b"1")]).await;
}
