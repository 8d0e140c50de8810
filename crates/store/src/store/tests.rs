//! Tests that need the disk to fail at a chosen step.

mod faults;
#[allow(dead_code, reason = "unit tests use a part of them")]
#[path = "../../tests/it/fixtures.rs"]
pub(crate) mod fixtures;
mod races;
