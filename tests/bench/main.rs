//! The speed and memory figures that the project promises, as ratios to what the machine can do in
//! the same run.
//!
//! Run by hand: `cargo bench -p perennial-tests`, or a single figure with `-- add-large`. It uses a
//! scratch folder under `PERENNIAL_BENCH_DIR` (default: the system's temporary folder, which needs
//! 20 GiB free) and drives the real binaries. The node and the yardstick alternate at least three
//! times, and the median of the ratios is printed. Nothing here asserts, because a timed test fails
//! for reasons outside the project.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod add;
mod catalog;
mod get;
mod image;
mod machine;
mod questions;

use machine::Machine;

type Failure = Box<dyn std::error::Error>;

/// A figure: its name on the command line and the function that measures and prints it.
type Figure = (&'static str, fn(&Machine) -> Result<(), Failure>);

const FIGURES: [Figure; 9] = [
    ("add-large", add::one_large_file),
    ("add-small", add::many_small_files),
    ("get", get::against_a_bare_stream),
    ("memory", get::memory_of_both_ends),
    ("image", image::against_the_reference),
    ("pulls", image::fifty_at_once),
    ("catalog", catalog::idle_with_many_entries),
    ("loop", catalog::reads_of_the_event_loop),
    ("questions", questions::cost_of_each),
];

fn main() -> Result<(), Failure> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let machine = Machine::new()?;
    println!("{}", machine.describe());
    println!("| figure | ours | yardstick | ratio (median, all) | asked |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            measure(&machine)?;
        }
    }
    Ok(())
}
