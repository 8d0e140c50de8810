//! Random command lists: every invariant holds after each command, and repeating a list gives the
//! same state and decisions.

use proptest::prelude::*;

use super::{blob, invariants, peer};
use crate::input::FetchId;
use crate::message::{BlobRange, Bounded};
use crate::time::Time;
use crate::transfer::{AssignmentId, Command, End, Has, Report, Subject, Transfer, limits};

const SIZES: [u64; 8] = [0, 1, limits::GROUP, 100_000, 3 << 20, 40 << 20, 500 << 20, u64::MAX];

fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    // Offsets in groups, occasionally unaligned or beyond the end.
    let offset = prop_oneof![
        8 => (0_u64..64).prop_map(|group| group * limits::GROUP),
        2 => (0_u64..4000).prop_map(|group| group * limits::GROUP),
        1 => 0_u64..2_000_000,
        1 => Just(u64::MAX),
    ];
    prop::collection::vec((offset.clone(), offset), 0..5)
}

fn number() -> impl Strategy<Value = u8> {
    0_u8..8
}

/// Seldom another size than that of the others.
fn sizes() -> impl Strategy<Value = bool> {
    prop_oneof![5 => Just(false), 1 => Just(true)]
}

fn size(number: u8, other: bool) -> u64 {
    SIZES[usize::from(number)].saturating_sub(u64::from(other))
}

fn report() -> impl Strategy<Value = Report> {
    let verified = prop::collection::vec((number(), ranges()), 0..3).prop_map(|list| {
        list.into_iter()
            .map(|(number, ranges)| BlobRange {
                blob: blob(number),
                ranges: Bounded::first_of(ranges),
            })
            .collect()
    });
    let not_held = prop::collection::vec(number().prop_map(blob), 0..2);
    (verified, not_held).prop_map(|(verified, not_held)| Report { verified, not_held })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Finished),
        2 => number().prop_map(|number| End::Lied(blob(number))),
        1 => number().prop_map(|number| End::WrongSize(blob(number))),
        1 => Just(End::Stalled),
        2 => Just(End::Closed),
        1 => Just(End::Overload),
        1 => Just(End::Local),
    ]
}

fn has() -> impl Strategy<Value = Has> {
    prop_oneof![
        4 => Just(Has::Held),
        2 => Just(Has::Unknown),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let fetch = || (0_u64..3).prop_map(FetchId);
    let subject = prop_oneof![
        fetch().prop_map(Subject::Fetch),
        (number(), sizes()).prop_map(|(n, other)| Subject::Blob(blob(n), size(n, other)))
    ];
    let assignment = || (0_u64..24).prop_map(AssignmentId);
    prop_oneof![
        4 => (fetch(), number(), sizes(), prop::option::of(ranges())).prop_map(
            |(fetch, number, other, missing)| Command::Want {
                fetch, blob: blob(number), size: size(number, other), missing,
            }),
        1 => fetch().prop_map(Command::Cancel),
        5 => (number(), subject, has()).prop_map(
            |(number, subject, has)| Command::Holder { peer: peer(number), subject, has }),
        1 => number().prop_map(|number| Command::Gone(peer(number))),
        4 => (assignment(), report()).prop_map(|(id, report)| Command::Progress(id, report)),
        4 => (assignment(), report(), end())
            .prop_map(|(id, report, end)| Command::Ended(id, report, end)),
        6 => Just(Command::Tick),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let wait = prop_oneof![3 => 0_u64..20, 3 => 20_u64..2000, 1 => 2000_u64..400_000];
    prop::collection::vec((wait, command()), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_every_command(seed: u64, steps in steps()) {
        let (mut machine, mut twin) = (Transfer::new(seed), Transfer::new(seed));
        let mut now = 0;
        for (wait, command) in steps {
            now += wait;
            let decisions = machine.handle(Time::from_millis(now), command.clone());
            prop_assert_eq!(invariants::check(&machine), Ok(()), "after {:?}", command);
            if !matches!(command, Command::Cancel(_)) {
                prop_assert_eq!(invariants::check_decisions(&machine, &decisions), Ok(()));
            }
            prop_assert_eq!(&decisions, &twin.handle(Time::from_millis(now), command));
        }
        prop_assert_eq!(&machine, &twin);
        // Whatever happened before, cancelled fetches are forgotten.
        for fetch in invariants::wanted_fetches(&machine) {
            machine.handle(Time::from_millis(now), Command::Cancel(fetch));
        }
        prop_assert_eq!(invariants::check(&machine), Ok(()));
        prop_assert_eq!((machine.wanted(), machine.assignments.len()), (0, 0));
    }
}
