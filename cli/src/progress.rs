//! Progress of a request: a bar on a terminal, an occasional line elsewhere, nothing with `--quiet`
//! or `--json`.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use perennial_control::{Progress, Stage};

use crate::quantity::{bytes, count};
use crate::screen::Screen;

/// Shorter requests show no bar.
const BAR_AFTER: Duration = Duration::from_millis(250);
/// How often a bar is drawn, per second.
const BAR_HZ: u8 = 20;
/// How often a plain line is printed while a stage lasts.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of one request on standard error.
#[derive(Debug)]
pub(crate) struct Painter {
    screen: Screen,
    started: Instant,
    stage: Option<Stage>,
    bar: Option<ProgressBar>,
    line_at: Instant,
}

impl Painter {
    pub(crate) fn new(screen: Screen) -> Painter {
        let now = Instant::now();
        Painter { screen, started: now, stage: None, bar: None, line_at: now }
    }

    /// Shows the current progress.
    pub(crate) fn paint(&mut self, progress: &Progress) {
        if self.screen.quiet || self.screen.json {
            return;
        }
        if self.stage != Some(progress.stage) {
            self.clear();
            self.stage = Some(progress.stage);
            self.line_at = Instant::now() + BAR_AFTER;
        }
        if self.screen.error_width.is_some() {
            self.paint_bar(progress);
        } else {
            self.paint_line(progress);
        }
    }

    /// Clears the bar, so that other output can be printed.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn paint_bar(&mut self, progress: &Progress) {
        if self.bar.is_none() && self.started.elapsed() < BAR_AFTER {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = bar_from(progress.bytes);
            bar.set_prefix(verb(progress.stage));
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(BAR_HZ));
            bar
        });
        if bar.length() != progress.total_bytes {
            let template = if progress.total_bytes.is_some() {
                "{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  \
                 {eta} left  {msg}"
            } else {
                "{prefix} {spinner} {binary_bytes}  {msg}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            match progress.total_bytes {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
        }
        bar.set_message(details(progress));
        bar.set_position(progress.bytes);
    }

    fn paint_line(&mut self, progress: &Progress) {
        let now = Instant::now();
        if now < self.line_at {
            return;
        }
        self.line_at = now + LINE_EVERY;
        let of =
            progress.total_bytes.map(|total| format!(" of {}", bytes(total))).unwrap_or_default();
        let details = details(progress);
        let comma = if details.is_empty() { "" } else { ", " };
        self.screen.status(format_args!(
            "{}: {}{of}{comma}{details}",
            verb(progress.stage),
            bytes(progress.bytes)
        ));
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A hidden bar whose rate counts from `position`: what was here before took no time, and would
/// show as gigabytes per second.
fn bar_from(position: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    bar.set_position(position);
    // The estimate learns of a position at a tick.
    bar.tick();
    bar.reset_eta();
    bar
}

/// The numbers of files and peers, where they apply.
fn details(progress: &Progress) -> String {
    let mut parts = Vec::new();
    match progress.total_items {
        Some(total) => parts.push(format!("{} of {}", progress.items, count(total, "file"))),
        None if progress.items > 0 => parts.push(count(progress.items, "file")),
        None => {}
    }
    if progress.peers > 0 {
        parts.push(count(progress.peers.into(), "peer"));
    }
    parts.join(", ")
}

/// The user-visible name of a stage.
fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Connecting => "connecting",
        Stage::Finding => "finding",
        Stage::Storing => "storing",
        Stage::Importing => "importing",
        Stage::Fetching => "fetching",
        Stage::Writing => "writing",
        Stage::Verifying => "verifying",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_were_here_before_do_not_count_as_fast() {
        let bar = bar_from(1 << 40);
        bar.set_position((1 << 40) + 1);
        bar.tick();
        // One byte in a nanosecond at most, where a TiB in a second would be a thousand times that.
        assert!(bar.per_sec() <= 1e9, "{} bytes/s", bar.per_sec());
        assert_eq!(bar.position(), (1 << 40) + 1);
    }
}
