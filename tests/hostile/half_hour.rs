//! Everything at once: twelve attackers at three address prefixes, and 300 slow HTTP clients,
//! against a node that honest peers and clients go on using.
//!
//! `PERENNIAL_HOSTILE_SECONDS` sets the length: two minutes by default, half an hour with
//! `tests/hostile/run.sh`, which also asserts how long honest operations may take. The short form
//! asserts only what succeeds, and memory: its machine may be a slow one. It runs by hand, apart
//! from the other tests, whose processes it would starve.
//! `PERENNIAL_HOSTILE_RELEASES` sets how many releases the node knows: 5,000, or 100,000 in the
//! long form.
//!
//! | module | is |
//! |---|---|
//! | `scene` | the attacked node, what it knows and follows, and the honest nodes around it |
//! | `honest` | what honest peers and clients do meanwhile, and how long it takes |
//! | `attack` | the attackers, one file an attack |

mod attack;
mod honest;
mod scene;

use std::time::{Duration, Instant};

use self::attack::Assault;
use self::honest::{Honest, Invitation, Newcomer, median, noted, slowest};
use self::scene::Scene;

/// Seconds of the form that belongs to the suite.
const SHORT: u64 = 120;
/// Seconds from which it is the long form.
const LONG: u64 = 1800;
/// The time from one honest operation to the next.
const PAUSE: Duration = Duration::from_secs(10);
/// Rounds of honest operations before the attacks.
const ALONE: usize = 5;
/// The most resident memory of the attacked node, in KiB.
const MEMORY: u64 = 400 << 10;

#[test]
#[ignore = "takes the whole machine: tests/hostile/run.sh"]
fn a_hostile_half_hour_costs_honest_peers_and_clients_little() {
    let set = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seconds = set("PERENNIAL_HOSTILE_SECONDS").unwrap_or(SHORT);
    let (length, is_long) = (Duration::from_secs(seconds), seconds >= LONG);
    let known = if is_long { 100_000 } else { 5_000 };
    let known = set("PERENNIAL_HOSTILE_RELEASES").unwrap_or(known);
    let scene = &Scene::set(known, ALONE as u64 + seconds / PAUSE.as_secs() + 2);
    let mut alone = Honest::new(scene, 1);
    (0..ALONE).for_each(|_| alone.round());
    assert!(alone.failed.is_empty(), "before any attack: {:?}", alone.failed);
    let before = scene.held();

    let assault = Assault::begin(scene);
    let mut honest = Honest::new(scene, 1 + ALONE as u64);
    let (begun, mut joining) = (Instant::now(), Vec::new());
    while begun.elapsed() < length {
        let round = Instant::now();
        honest.round();
        let quarter = u32::try_from(joining.len() + 1).expect("four at most");
        if quarter < 4 && begun.elapsed() >= length * quarter / 4 {
            let invitation = Invitation::of(scene, quarter);
            joining.push(std::thread::spawn(move || Newcomer::join(&invitation)));
            honest.collection();
        }
        // Not a wait for anything: the pace of the honest.
        std::thread::sleep(PAUSE.saturating_sub(round.elapsed()));
    }
    let newcomers: Vec<_> = joining.into_iter().map(|one| one.join().expect("it ends")).collect();
    println!("{assault}");
    drop(assault);
    for newcomer in &newcomers {
        honest.failed.extend(newcomer.caught_up.as_ref().err().cloned());
    }

    let node = &scene.node;
    println!("| honest operation | alone, median | during, median / slowest | number |");
    println!("| --- | --- | --- | --- |");
    for (what, alone, during) in [
        ("get from the node", &alone.gets, &honest.gets),
        ("pull of an image", &alone.pulls, &honest.pulls),
        ("status of the node", &alone.statuses, &honest.statuses),
    ] {
        let (alone, usual, worst) = (median(alone), median(during), slowest(during));
        let number = during.len();
        println!("| {what} | {alone:.2?} | {usual:.2?} / {worst:.2?} | {number} |");
    }
    let (now, most) = (node.resident_memory() >> 10, node.highest_memory() >> 10);
    let caught_up: Vec<_> = newcomers.iter().flat_map(|newcomer| &newcomer.caught_up).collect();
    println!("newcomers joined and caught up in {caught_up:.1?}");
    println!("resident memory of the node: {now} MiB, at most {most} MiB");

    let log = node.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(honest.failed.is_empty(), "{:#?}", honest.failed);
    assert!(node.highest_memory() <= MEMORY, "{most} MiB");
    assert_eq!(noted(scene, &newcomers), Vec::<String>::new(), "honest peers are blamed");
    assert!(scene.held() >= before, "{} of {before} releases are held", scene.held());
    if is_long {
        for (alone, during) in [(&alone.gets, &honest.gets), (&alone.pulls, &honest.pulls)] {
            let most = median(alone) * 3 + Duration::from_secs(1);
            assert!(slowest(during) <= most, "{:?} instead of {most:?}", slowest(during));
        }
    }
}
