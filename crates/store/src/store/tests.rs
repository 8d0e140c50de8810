//! Tests that need the disk to fail at a chosen step.

mod faults;
mod fixtures;
mod races;
