//! Peers that cheat with bytes. Their bytes never become a file, and an honest peer compensates for
//! them. Without an honest peer the fetch fails with a reason, and a later fetch resumes from the
//! verified bytes.
//!
//! Deadlines for stalling and crawling peers belong to the protocol and are tested there in virtual
//! time (`crates/protocol/src/transfer/tests`). Here real bytes cross real streams.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::liar::{Goods, Liar, Manner, genesis};
use perennial_manifest::SignedEntry;
use perennial_tests::{Daemon, MIB, add, assert_same, count, field, perennial, text, write_tree};

/// Upper bound on the time until a command without a useful peer gives up.
const GIVES_UP: Duration = Duration::from_secs(150);

/// A release in two data directories: the liar's and an honest node's.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    source: PathBuf,
    pub(crate) release: String,
    /// The large blob.
    blob: String,
    entry: SignedEntry,
}

impl Scene {
    pub(crate) fn new(size: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let source = write_tree(&dir.path().join("src"), 24, &[size, 700, 60_000]);
        let data = dir.path().join("liar");
        let added = add(&data, &source, "thing", "1");
        let shown = perennial(&data, &["show", field(&added, "release")]).ok().json();
        let files = shown["files"].as_array().expect("files");
        let blob = files.iter().find(|file| file["size"] == size).expect("the large one");
        let blob = field(blob, "blake3").to_owned();
        // The liar vouches for the same bytes in a feed of its own, so a single entry is enough.
        let goods = Goods::of(&data, Vec::new());
        let added = field(&added, "release").parse().expect("an id");
        let row = goods.store.release(&added).expect("reads").expect("its release");
        let entry = genesis([24; 32], row.purl.as_str(), row.artifacts);
        let release = entry.release().expect("a release").0;
        goods.store.put_entries(std::slice::from_ref(&entry)).expect("stored");
        goods.store.refresh_state(&release).expect("held");
        drop(goods);
        let copied =
            Command::new("cp").arg("-a").arg(&data).arg(dir.path().join("honest")).status();
        assert!(copied.expect("cp runs").success());
        Self { dir, source, release: release.to_string(), blob, entry }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn liar(&self, manner: Manner) -> Liar {
        Liar::start(Goods::of(&self.at("liar"), vec![self.entry.clone()]), manner)
    }

    fn assert_nothing_wrong(&self, data: &Path) {
        let verified = perennial(data, &["verify"]).ok();
        assert_eq!(verified.rows().last().expect("a row")["corrupt"], 0, "{verified:?}");
    }
}

/// Fetches from the liar and an honest node. All bytes arrive, and the liar is charged with its
/// offence, if any.
fn an_honest_peer_makes_up_for(manner: Manner, offence: Option<&str>) {
    // More than two assignments of an unmeasured peer, so that both peers are asked.
    let scene = Scene::new(48 * MIB);
    let (liar, honest) = (scene.liar(manner), Daemon::start(&scene.at("honest"), &[]));
    let d = Daemon::start(&scene.at("d"), &["--peer", &liar.address, "--peer", honest.address()]);
    let out = scene.at("out");
    perennial(d.data(), &["get", &scene.release, "-o", text(&out)]).ok();
    assert!(liar.asked() > 0, "no node asked the liar");
    assert_same(&scene.source, &out);
    assert_eq!(count(d.data(), "held"), 1);
    scene.assert_nothing_wrong(d.data());
    let peer = liar.address.rsplit('/').next().expect("ends in the peer id");
    let told = |offence| d.log().contains(&format!("peer={peer} offence={offence}"));
    assert!(offence.is_none_or(told), "not held against {peer}:\n{}", d.log());
}

/// Fetches from the liar alone, which fails clearly and leaves no wrong byte, then from an honest
/// node. Returns the bytes that the second fetch had to transfer.
fn alone_it_fails_and_goes_on_later(size: usize, manner: Manner) -> u64 {
    let scene = Scene::new(size);
    let liar = scene.liar(manner);
    let (data, out) = (scene.at("d"), scene.at("out"));
    let get = ["get", &scene.release, "-o", text(&out)];
    let start = Instant::now();
    let said = perennial(&data, &[&["--peer", &liar.address][..], &get].concat()).failed(3);
    assert!(said.stderr.contains("none of them sent all"), "{said:?}");
    assert!(start.elapsed() < GIVES_UP, "{:?}", start.elapsed());
    println!("{manner:?}: given up after {:?}", start.elapsed());
    assert!(liar.asked() > 0, "no node asked the liar");
    assert!(!out.exists(), "nothing is written");
    assert_eq!(count(&data, "held"), 0);
    scene.assert_nothing_wrong(&data);
    perennial(&data, &["get", &scene.blob, "-o", text(&out)]).failed(3);
    assert!(!out.exists(), "a part is not given out");
    drop(liar);

    let honest = Daemon::start(&scene.at("honest"), &[]);
    let got = perennial(&data, &[&["--peer", honest.address()][..], &get].concat()).ok().json();
    assert_same(&scene.source, &out);
    scene.assert_nothing_wrong(&data);
    got["fetched_bytes"].as_u64().expect("a number")
}

#[test]
fn wrong_bytes_are_found_and_an_honest_peer_makes_up_for_them() {
    for percent in [0, 50, 100] {
        an_honest_peer_makes_up_for(
            Manner::Wrong(percent),
            Some("bytes that do not match their digest"),
        );
    }
}

#[test]
fn a_peer_that_stalls_at_99_percent_holds_nothing_up() {
    an_honest_peer_makes_up_for(Manner::Stalls, None);
}

#[test]
fn a_peer_that_trickles_holds_nothing_up() {
    an_honest_peer_makes_up_for(Manner::Trickles, None);
}

#[test]
fn a_peer_that_closes_early_holds_nothing_up() {
    an_honest_peer_makes_up_for(Manner::Closes, Some("a transfer that stalled"));
}

#[test]
fn a_peer_that_claims_another_length_is_abandoned() {
    // It may be right, and the list wrong: nothing is held against it.
    an_honest_peer_makes_up_for(Manner::Claims(1 << 63), None);
}

/// Bytes beyond the requested ones are neither read nor kept.
#[test]
fn bytes_without_end_are_cut_at_the_signed_length() {
    let scene = Scene::new(4 * MIB);
    let liar = scene.liar(Manner::Endless);
    let d = Daemon::start(&scene.at("d"), &["--peer", &liar.address]);
    let out = scene.at("out");
    perennial(d.data(), &["get", &scene.release, "-o", text(&out)]).ok();
    assert_same(&scene.source, &out);
    scene.assert_nothing_wrong(d.data());
    let sent = liar.tally.sent.load(SeqCst);
    assert!(sent < 4 * 4 * MIB as u64, "{sent} bytes were taken of a blob of {} MiB", 4);
}

#[test]
fn wrong_bytes_alone_fail_and_what_verified_before_them_is_kept() {
    let size = 12 * MIB;
    let left = alone_it_fails_and_goes_on_later(size, Manner::Wrong(0));
    assert!(left >= size as u64, "{left}: something of the first wrong group on was kept");
    let left = alone_it_fails_and_goes_on_later(size, Manner::Wrong(50));
    assert!(left < size as u64 * 6 / 10 && left > size as u64 * 4 / 10, "{left}");
    let left = alone_it_fails_and_goes_on_later(size, Manner::Wrong(100));
    assert!(left < 200_000, "{left}");
}

#[test]
fn a_stall_at_99_percent_ends_and_resumes_later() {
    let left = alone_it_fails_and_goes_on_later(12 * MIB, Manner::Stalls);
    assert!(left < 400_000, "{left}");
}

#[test]
fn closing_early_ends_and_resumes_later() {
    let left = alone_it_fails_and_goes_on_later(12 * MIB, Manner::Closes);
    assert!(left < 7 * MIB as u64, "{left}");
}

#[test]
fn a_trickle_ends_and_resumes_later() {
    alone_it_fails_and_goes_on_later(2 * MIB, Manner::Trickles);
}

#[test]
fn a_length_of_2_to_the_63_ends_and_takes_no_space() {
    alone_it_fails_and_goes_on_later(2 * MIB, Manner::Claims(1 << 63));
}

/// A digest fetched by itself has no signed length. False lengths cost nothing, and the true length
/// is found among them.
#[test]
fn a_lie_about_the_length_of_a_digest_costs_nothing() {
    let scene = Scene::new(2 * MIB);
    let liar = scene.liar(Manner::Claims(1 << 63));
    let (data, out) = (scene.at("d"), scene.at("out"));
    let get = ["get", &scene.blob, "-o", text(&out)];
    let said = perennial(&data, &[&["--peer", &liar.address][..], &get].concat());
    assert!(matches!(said.code, Some(1 | 3 | 4)) && !said.stderr.contains("panicked"), "{said:?}");
    assert!(!out.exists() && !data.exists(), "a failed command leaves no archive");
    let honest = Daemon::start(&scene.at("honest"), &[]);
    let both = ["--peer", &liar.address, "--peer", honest.address()];
    for round in 0..6 {
        let data = scene.at(&format!("d-{round}"));
        perennial(&data, &[&both[..], &get].concat()).ok();
        assert!(out.exists());
    }
}
