//! A publisher's key is replaced, copied and taken in again, while others follow it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use perennial_tests::{
    Daemon, add, assert_same, count, field, perennial, publisher, text, wait_until, write_tree,
};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_follower_goes_on_to_the_next_key_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let (one, two) = (write_tree(&at("one"), 1, &[300_000]), write_tree(&at("two"), 2, &[9_000]));
    let a = Daemon::start(&at("a"), &[]);
    add(a.data(), &one, "tool", "1");
    let old = publisher(a.data());
    let b = Daemon::start(&at("b"), &["--peer", a.address()]);
    perennial(b.data(), &["follow", &old, "--as", "savers"]).ok();
    let held = |n| (count(b.data(), "held") == n).then_some(());
    wait_until(LIMIT, "the first release is held", || held(1));

    let row = perennial(a.data(), &["key", "rotate"]).ok().json();
    let new = field(&row, "publisher").to_owned();
    assert_eq!(field(&row, "previous"), old);
    assert!(new != old && fs::metadata(field(&row, "previous_file")).is_ok(), "{row}");
    assert_eq!(publisher(a.data()), new);
    // The node signs with the new key at once, and the follower keeps what it signs.
    add(a.data(), &two, "tool", "2");
    wait_until(LIMIT, "what the next key signed is held", || held(2));
    perennial(b.data(), &["get", "tool@2", "--publisher", "savers", "-o", text(&at("out"))]).ok();
    assert_same(&two, &at("out"));
    // What the old one signed keeps its meaning, for both.
    for data in [a.data(), b.data()] {
        let out = data.with_extension("old");
        perennial(data, &["get", "tool@1", "-o", text(&out)]).ok();
        assert_same(&one, &out);
    }
    // Its owner is told, everywhere.
    let follows = perennial(b.data(), &["follows"]).ok().rows();
    let of = |key: &str| {
        let found = follows.iter().find(|row| field(row, "publisher") == key);
        found.unwrap_or_else(|| panic!("{key} is not followed: {follows:?}"))
    };
    assert_eq!(field(of(&new), "name"), "savers");
    assert_eq!(field(of(&new), "predecessor"), old);
    assert_eq!(field(of(&old), "successor"), new);
    let status = perennial(b.data(), &["status"]).ok().json();
    let notices = status["notices"].to_string();
    assert!(notices.contains(&new) && notices.contains("handed its feed over"), "{notices}");
    assert!(b.log().contains("handed its feed over"), "{}", b.log());
    // The user's name means the whole chain, when it ends as well; and all of it outlives a
    // restart.
    b.terminate(Duration::from_secs(10));
    let b = Daemon::start(&at("b"), &["--peer", a.address()]);
    assert_eq!(perennial(b.data(), &["follows"]).ok().rows().len(), 2);
    perennial(b.data(), &["unfollow", "savers"]).ok();
    assert!(perennial(b.data(), &["follows"]).ok().rows().is_empty());
}

#[test]
fn a_copied_key_asks_for_its_own_feed_before_it_signs() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let source = write_tree(&at("one"), 1, &[9_000]);
    let a = Daemon::start(&at("a"), &[]);
    add(a.data(), &source, "tool", "1");
    let who = publisher(a.data());
    let copy = at("copy");
    perennial(a.data(), &["key", "backup", text(&copy)]).ok();
    assert_eq!(fs::metadata(&copy).expect("a copy").mode() & 0o777, 0o600);
    perennial(a.data(), &["key", "backup", text(&copy)]).failed(1);
    // Another node keeps the feed, and the first one is lost.
    let b = Daemon::start(&at("b"), &["--peer", a.address(), "--follow", &who]);
    wait_until(LIMIT, "it is kept", || (count(b.data(), "held") == 1).then_some(()));
    let said = perennial(a.data(), &["key", "restore", text(&copy)]);
    assert_eq!(said.code, Some(5), "a node runs there: {said:?}");
    a.terminate(Duration::from_secs(10));
    let said = perennial(&at("a"), &["key", "restore", text(&copy)]).failed(1);
    assert!(said.stderr.contains("no key is overwritten"), "{said:?}");

    let row = perennial(&at("new"), &["key", "restore", text(&copy)]).ok().json();
    assert_eq!(field(&row, "publisher"), who);
    let next = ["add", text(&source), "--name", "tool", "--version", "2"];
    let said = perennial(&at("new"), &next);
    assert!(said.code != Some(0), "it signs without its feed: {said:?}");
    perennial(&at("new"), &[&["--peer", b.address()], &next[..]].concat()).ok();
    let feed = perennial(&at("new"), &["key"]).ok().json();
    assert_eq!(feed["forked"], false, "{feed}");
}
