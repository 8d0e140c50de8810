//! Rests, retries, and the order of releases.

use std::collections::BTreeSet;
use std::time::Duration;

use perennial_manifest::{EntryId, Keypair, ReleaseId};
use proptest::prelude::*;

use super::{CONCURRENT, Keep, OTHERS, REST};
use crate::fake_catalog::FakeCatalog;
use crate::input::{Follows, KeepOutcome};
use crate::time::Time;

fn releases(count: u64) -> FakeCatalog {
    let publisher = Keypair::from_seed([1; 32]).id();
    let mut wanted: Vec<_> = (0..count)
        .map(|n| {
            (
                ReleaseId::from(EntryId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes())),
                publisher,
            )
        })
        .collect();
    wanted.sort_unstable();
    FakeCatalog { wanted, ..FakeCatalog::default() }
}

#[test]
fn a_failed_release_is_retried_later() {
    let catalog = releases(1);
    let mut keep = Keep::new("me".parse().unwrap());
    let release = keep.plan(Time::ZERO, &Follows::All, &catalog)[0].release;
    keep.ended(Time::ZERO, &release, KeepOutcome::Failed);
    assert!(keep.plan(Time::ZERO, &Follows::All, &catalog).is_empty());
    let rested = Time::ZERO + REST;
    assert_eq!(keep.next(), rested);
    assert_eq!(keep.plan(rested, &Follows::All, &catalog).len(), 1);
    keep.ended(rested, &release, KeepOutcome::Failed);
    assert!(keep.plan(rested + REST, &Follows::All, &catalog).is_empty(), "it rests longer");
    keep.try_soon(rested + REST);
    let soon = rested + REST + Duration::from_secs(3);
    assert_eq!(keep.plan(soon, &Follows::All, &catalog).len(), 1, "a new peer may hold it");
}

#[test]
fn releases_of_unfollowed_publishers_are_not_kept() {
    let mut keep = Keep::new("me".parse().unwrap());
    assert!(keep.plan(Time::ZERO, &Follows::default(), &releases(9)).is_empty());
}

/// On a node that follows all, releases of strangers that can never be fetched take neither the
/// places nor the turns of a publisher that is followed by name.
#[test]
fn publishers_share_the_places_those_followed_by_name_first() {
    let id = |n: u64| Keypair::from_seed(*blake3::hash(&n.to_le_bytes()).as_bytes()).id();
    let (one, two) = (id(1), id(2));
    let mut catalog = releases(3_000);
    for (at, (_, publisher)) in catalog.wanted.iter_mut().enumerate() {
        *publisher = match at {
            2_000..2_040 => one,
            2_040..2_043 => two,
            _ => id(3 + at as u64 % 100),
        };
    }
    catalog.named = vec![one, two];
    let mut keep = Keep::new("me".parse().unwrap());
    let of = |wanted: &[crate::catalog::Wanted], publisher| {
        wanted.iter().filter(|wanted| wanted.publisher == publisher).count()
    };
    let first = keep.plan(Time::ZERO, &Follows::All, &catalog);
    assert_eq!((first.len(), of(&first, one), of(&first, two)), (CONCURRENT, 13, 3));
    // They are held; the strangers' releases fail, rest, and come again.
    let mut now = Time::ZERO;
    let mut active: Vec<_> = first;
    for _ in 0..200 {
        for wanted in std::mem::take(&mut active) {
            let named = [one, two].contains(&wanted.publisher);
            catalog.wanted.retain(|(release, _)| !named || *release != wanted.release);
            let outcome = if named { KeepOutcome::Held } else { KeepOutcome::Failed };
            keep.ended(now, &wanted.release, outcome);
        }
        active = keep.plan(now, &Follows::All, &catalog);
        let others = active.len() - of(&active, one) - of(&active, two);
        assert!(others <= OTHERS, "{others}");
        if catalog.wanted.iter().all(|(_, publisher)| ![one, two].contains(publisher)) {
            assert!(others > 0, "the others have their turn");
            let most = active.iter().map(|wanted| of(&active, wanted.publisher)).max();
            assert_eq!(most, Some(1), "one publisher does not take the places of another");
            return;
        }
        now = now + Duration::from_secs(1);
    }
    panic!("a release of a followed publisher waits for strangers");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the order in which they end, never too many run at once, and every release is held
    /// eventually.
    #[test]
    fn every_followed_release_is_held_in_the_end(count in 0_u64..400,
        outcomes in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut catalog = releases(count);
        let mut keep = Keep::new("me".parse().unwrap());
        let mut active = BTreeSet::new();
        let mut now = Time::ZERO;
        for step in 0..100_000_usize {
            for wanted in keep.plan(now, &Follows::All, &catalog) {
                prop_assert!(active.insert(wanted.release), "not twice at once");
            }
            prop_assert!(active.len() <= CONCURRENT && active.len() == keep.active());
            let outcome = outcomes[step % outcomes.len()];
            let chosen = usize::from(outcome) % active.len().max(1);
            let Some(release) = active.iter().nth(chosen).copied() else {
                if catalog.wanted.is_empty() { break; }
                prop_assert!(keep.next() > now && keep.next() < Time::NEVER, "it wakes by itself");
                now = keep.next();
                continue;
            };
            active.remove(&release);
            if outcome % 4 == 0 && step < 400 {
                keep.ended(now, &release, KeepOutcome::Failed);
            } else {
                catalog.wanted.retain(|(id, _)| *id != release);
                keep.ended(now, &release, KeepOutcome::Held);
            }
        }
        prop_assert!(catalog.wanted.is_empty());
    }
}
