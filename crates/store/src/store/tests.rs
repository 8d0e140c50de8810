//! Tests that need the disk to fail at a chosen step.

mod faults;
#[allow(dead_code, reason = "unit tests use a part of them")]
#[path = "../../tests/it/fixtures.rs"]
mod fixtures;
mod races;
