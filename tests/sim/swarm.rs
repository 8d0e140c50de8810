//! Swarms of many nodes: every followed release arrives everywhere, after partitions and after long
//! absence.

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_manifest::{PublisherId, ReleaseId};
use perennial_protocol::{Follows, Time};
use rand::Rng;

use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn following_none(count: usize) -> Vec<Follows> {
    vec![Follows::default(); count]
}

fn only(publishers: impl IntoIterator<Item = PublisherId>) -> Follows {
    Follows::Publishers(publishers.into_iter().collect::<BTreeSet<_>>())
}

/// The first hosts are publishers; every host follows some of them, every tenth follows all.
fn swarm(seed: u64, count: usize, publishers: usize) -> World {
    let mut world = World::new(seed, following_none(count));
    for host in 0..count {
        let mut followed = BTreeSet::new();
        for _ in 0..3 {
            let publisher = world.rng().random_range(0..publishers);
            followed.insert(world.publisher(publisher));
        }
        let follows = if host % 10 == 9 { Follows::All } else { only(followed) };
        world.follow(host, follows);
    }
    world.mesh(6);
    world
}

fn sizes(world: &mut World) -> Vec<u64> {
    let count = world.rng().random_range(1..6);
    (0..count).map(|_| 1 << world.rng().random_range(8..24)).collect()
}

/// Adds releases, splits the swarm into halves, adds on both sides, heals, and runs until every
/// followed release has arrived everywhere.
fn adds_partition_heal(seed: u64, count: usize, publishers: usize) -> World {
    let mut world = swarm(seed, count, publishers);
    let mut releases: Vec<(PublisherId, ReleaseId)> = Vec::new();
    let mut add = |world: &mut World, version: u64| {
        for host in 0..publishers {
            let sizes = sizes(world);
            let release = world.add(host, version, &sizes);
            releases.push((world.publisher(host), release));
            world.run_for(SECOND / 4);
        }
        releases.clone()
    };
    world.run_for(2 * SECOND);
    add(&mut world, 1);
    let cut = world.partition(|host| (host % 2) as u8);
    add(&mut world, 2);
    world.run_for(30 * SECOND);
    let releases = add(&mut world, 3);
    assert!(!world.lacking(&releases).is_empty(), "the partition keeps something from some host");
    world.heal(cut);
    let until = world.now + 600 * SECOND;
    let all = world.run_until(until, |world| world.lacking(&releases).is_empty());
    let lacking = world.lacking(&releases);
    assert!(all, "seed {seed}: {} not there, the first {:?}", lacking.len(), lacking.first());
    for host in &world.hosts {
        assert_eq!(host.penalties, 0, "{}: no peer here is to blame", host.peer);
    }
    world
}

#[test]
fn a_hundred_nodes_from_three_seeds() {
    for seed in [1, 20_250_731, 0x5eed_0003] {
        let world = adds_partition_heal(seed, 100, 8);
        println!(
            "seed {seed}: 100 nodes, everything followed everywhere after {:?} of virtual time, {} \
            events, {} KiB of requests and answers, trace {:016x}",
            world.now - Time::ZERO,
            world.events,
            world.bytes >> 10,
            world.trace()
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = |seed| adds_partition_heal(seed, 24, 4).trace();
    let one = trace(7);
    assert_eq!(one, trace(7), "nothing but the seed decides");
    assert_ne!(one, trace(8), "and the seed does decide");
}

/// One node is offline while releases are added, then meets one other node. Returns the bytes of
/// the exchange that caught up, and the time until everything was held.
fn catch_up(before: u64, while_away: u64) -> (u64, Duration) {
    let mut world = World::new(3, following_none(2)).lossless();
    let publisher = world.publisher(0);
    world.follow(1, only([publisher]));
    world.link(0, 1);
    let mut releases: Vec<(PublisherId, ReleaseId)> = Vec::new();
    for version in 0..before {
        releases.push((publisher, world.add(0, version, &[1000])));
        world.run_for(SECOND / 10);
    }
    let until = world.now + 300 * SECOND;
    assert!(world.run_until(until, |world| world.lacking(&releases).is_empty()));
    world.set_online(1, false);
    world.run_for(SECOND);
    world.side_apart(1);
    for version in before..before + while_away {
        releases.push((publisher, world.add(0, version, &[1000])));
        world.run_for(SECOND / 10);
    }
    world.hosts[1].synced.clear();
    world.hosts[1].online = true;
    world.restart(1);
    let start = world.now;
    world.heal(vec![(0, 1)]);
    let until = start + 30 * SECOND;
    let all = world.run_until(until, |world| world.lacking(&releases).is_empty());
    assert!(all, "{} of {while_away} not there in 30 s", world.lacking(&releases).len());
    let synced = &world.hosts[1].synced;
    assert_eq!(synced[0].0, while_away, "one exchange brings every entry: {synced:?}");
    (synced[0].1 + synced[0].2, world.now - start)
}

#[test]
fn after_an_absence_one_exchange_brings_everything() {
    let (bytes, time) = catch_up(1000, 500);
    let (tenth, _) = catch_up(1000, 50);
    let (nothing, _) = catch_up(1000, 1);
    println!(
        "500 releases of 1500: {bytes} bytes exchanged, held after {time:?}; 50: {tenth}; 1: \
        {nothing} bytes"
    );
    assert!(bytes < 500 * 600, "about one entry a release: {bytes}");
    assert!(tenth * 5 < bytes, "a tenth of the difference: {tenth} of {bytes}");
    assert!(
        nothing * 20 < bytes,
        "hardly anything for hardly any difference: {nothing} of {bytes}"
    );
}
