//! The report of a drill: one line per step as it completes and a verdict, or one JSON object.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use perennial_control::{GetDone, Published};
use serde::Serialize;

use crate::quantity::{at_rate, seconds};
use crate::screen::Screen;

/// One completed step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    step: &'static str,
    bytes: u64,
    elapsed_ms: u64,
}

impl Step {
    pub(super) fn new(step: &'static str, started: Instant, bytes: u64) -> Step {
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Step { step, bytes, elapsed_ms }
    }
}

/// The result, for scripts.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    survived: bool,
    reason: Option<String>,
    release: String,
    artifacts: u64,
    bytes: u64,
    fetched_bytes: u64,
    from: BTreeMap<String, u64>,
    copies: Vec<String>,
    steps: Vec<Step>,
    elapsed_ms: u64,
}

/// The steps so far, and the output they are printed to.
#[derive(Debug)]
pub(super) struct Report {
    screen: Screen,
    started: Instant,
    outcome: Outcome,
}

impl Report {
    pub(super) fn new(screen: Screen) -> Report {
        Report { screen, started: Instant::now(), outcome: Outcome::default() }
    }

    pub(super) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Records a step.
    pub(super) fn step(&mut self, step: Step, text: &str) -> io::Result<()> {
        let took = Duration::from_millis(step.elapsed_ms);
        let speed = if step.bytes > 0 { at_rate(step.bytes, took) } else { String::new() };
        self.outcome.steps.push(step);
        let number = self.outcome.steps.len();
        self.say(&format!("{number}. {text} ({}{speed})", seconds(took)))
    }

    pub(super) fn added(&mut self, added: &Published) {
        self.outcome.release = added.release.to_string();
        self.outcome.artifacts = added.artifacts;
        self.outcome.bytes = added.bytes;
    }

    pub(super) fn fetched(&mut self, got: &GetDone) {
        self.outcome.fetched_bytes = got.fetched_bytes;
        self.outcome.from.clone_from(&got.from);
    }

    /// Records the nodes that hold the whole release.
    pub(super) fn copies(&mut self, copies: Vec<String>) -> io::Result<()> {
        let text = format!("full copies left: {} ({})", copies.len(), copies.join(", "));
        self.outcome.copies = copies;
        self.say(&text)
    }

    /// Prints that the release survived.
    pub(super) fn survived(mut self) -> io::Result<()> {
        self.outcome.survived = true;
        self.end("the release SURVIVED the loss of the node it was added on")
    }

    /// Prints that the release did not survive.
    pub(super) fn lost(mut self, why: &str) -> io::Result<()> {
        self.outcome.reason = Some(why.to_owned());
        self.end("the release DID NOT SURVIVE")
    }

    fn say(&self, text: &str) -> io::Result<()> {
        if self.screen.json || self.screen.quiet {
            Ok(())
        } else {
            self.screen.line(format_args!("{text}"))
        }
    }

    fn end(mut self, text: &str) -> io::Result<()> {
        self.outcome.elapsed_ms =
            u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.screen.row(&self.outcome, |_| text.to_owned())
    }
}
