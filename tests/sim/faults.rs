//! Hostile input: forks, floods, replays.

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_manifest::{Entry, Keypair, SignedEntry};
use perennial_protocol::Follows;

use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn all_follow(world: &mut World, publisher: usize) {
    let publisher = world.publisher(publisher);
    for host in 0..world.hosts.len() {
        world.follow(host, Follows::Publishers(BTreeSet::from([publisher])));
    }
}

/// A key used on two machines: each half of a partition sees a different entry with the same
/// sequence number.
#[test]
fn after_contact_both_halves_hold_the_fork_proof_and_both_releases() {
    let mut world = World::new(30, vec![Follows::default(); 20]);
    all_follow(&mut world, 0);
    world.mesh(4);
    world.run_for(2 * SECOND);
    world.add(0, 1, &[1000]);
    world.run_for(20 * SECOND);
    let cut = world.partition(|host| (host % 2) as u8);
    let secret = world.hosts[0].key.seed();
    world.hosts[1].key = Keypair::from_seed(secret);
    let one = world.add(0, 2, &[2000]);
    let other = world.add(1, 3, &[3000]);
    world.run_for(20 * SECOND);
    let publisher = world.publisher(0);
    let forks =
        |world: &World, host: usize| world.hosts[host].memory.feeds[&publisher].state.forks.len();
    assert!((0..20).all(|host| forks(&world, host) == 0), "neither half can know");
    world.heal(cut);
    let until = world.now + 300 * SECOND;
    let releases = [(publisher, one), (publisher, other)];
    assert!(world.run_until(until, |world| {
        (0..20).all(|host| forks(world, host) == 1) && world.lacking(&releases).is_empty()
    }));
    for host in &world.hosts {
        assert!(
            host.memory.feeds[&publisher].state.is_forked(),
            "{}: shown until a merge",
            host.peer
        );
    }
}

/// Thousands of garbage messages, entries of unknown keys and repetitions, from two neighbours of
/// every host.
#[test]
fn a_flood_costs_bounded_state_and_honest_entries_arrive() {
    let mut world = World::new(28, vec![Follows::default(); 12]);
    all_follow(&mut world, 0);
    world.mesh(4);
    for host in 0..10 {
        world.link(10, host);
        world.link(11, host);
    }
    world.run_for(SECOND);
    let known = world.hosts[0].memory.sign(&world.hosts[0].key, 1, profile("zero"));
    world.publish_signed(0, known.clone());
    let mut strangers = Vec::new();
    for n in 0..2000_u32 {
        let key = Keypair::from_seed(*perennial_manifest::BlobId::of(&n.to_le_bytes()).as_bytes());
        strangers.push(entry(&key, "stranger").encode());
    }
    for round in 0..100_usize {
        for to in 0..10 {
            for n in 0..20 {
                world.inject(10, to, format!("garbage {round} {to} {n}").into_bytes());
                world.inject(11, to, strangers[round * 20 + n].clone());
                world.inject(11, to, known.encode());
            }
        }
        world.run_for(SECOND / 20);
    }
    world.check_bounds();
    let release = world.add(0, 1, &[4096]);
    let publisher = world.publisher(0);
    let until = world.now + 30 * SECOND;
    let honest: Vec<usize> = (0..10).collect();
    assert!(world.run_until(until, |world| {
        honest.iter().all(|host| world.hosts[*host].memory.held.contains(&release))
    }));
    for host in &world.hosts[..10] {
        let strangers = host
            .memory
            .entries
            .values()
            .filter(|entry| entry.entry().publisher != publisher)
            .count();
        assert!(strangers <= 600, "{}: {strangers} entries of strangers were kept", host.peer);
        assert_eq!(host.memory.rejected, 0);
    }
    assert!(world.hosts[3].penalties > 0, "garbage is held against who sends it");
}

/// Repeated old entries change nothing, neither immediately nor after their messages were
/// forgotten.
#[test]
fn replayed_entries_are_ignored() {
    let mut world = World::new(29, vec![Follows::default(); 4]);
    all_follow(&mut world, 0);
    world.mesh(4);
    world.run_for(SECOND);
    for version in 1..6 {
        world.add(0, version, &[1000]);
        world.run_for(SECOND);
    }
    world.run_for(30 * SECOND);
    let publisher = world.publisher(0);
    let highest =
        |world: &World, host: usize| world.hosts[host].memory.feeds[&publisher].state.highest();
    let before = highest(&world, 2);
    assert_eq!(before, highest(&world, 0));
    let old: Vec<SignedEntry> = world.hosts[2].memory.entries.values().cloned().collect();
    let entries = world.hosts[2].memory.entries.len();
    for round in 0..20 {
        for entry in &old {
            world.inject(1, 2, entry.encode());
            world.inject(3, 2, entry.encode());
        }
        if round == 10 {
            // As after a restart: the machine has forgotten its messages, the catalog has not.
            world.restart(2);
        }
        world.run_for(SECOND);
    }
    assert_eq!(highest(&world, 2), before);
    assert_eq!(world.hosts[2].memory.entries.len(), entries);
    assert_eq!(world.hosts[2].penalties, 0, "a replay is not an offence: honest peers repeat too");
}

fn profile(name: &str) -> perennial_manifest::Body {
    perennial_manifest::Body::Profile(perennial_manifest::Profile {
        name: name.to_owned(),
        publisher_kind: perennial_manifest::PublisherKind::Archivist,
        contact: None,
        claims: Vec::new(),
    })
}

fn entry(key: &Keypair, name: &str) -> SignedEntry {
    let entry =
        Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 1, body: profile(name) };
    entry.sign(key).expect("a sound entry")
}
