//! `perennial gc`: frees the space of unreferenced blobs.

use std::time::Duration;

use clap::Args;
use indicatif::HumanCount;
use perennial_control::{Gc, GcDone};

use crate::failure::CommandError;
use crate::quantity::{bytes, count, duration};
use crate::screen::Screen;
use crate::session::Session;

/// Remove blobs that no pin, no follow and no running transfer needs
///
/// A blob is the bytes of one file. Signed entries are never removed, so `perennial get` can fetch
/// a release again. After any error nothing is removed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial gc --dry-run
  perennial gc
  perennial gc --grace 14d")]
pub(crate) struct GcArgs {
    /// Report what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Spare blobs used within this time, such as 90s, 15m, 36h or 14d [default: the node's
    /// setting, 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grace: Option<Duration>,
}

pub(crate) async fn run(
    args: GcArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let grace_seconds = args.grace.map(|grace| grace.as_secs());
    let done = session.ask(Gc { dry_run: args.dry_run, grace_seconds }).await?;
    screen.row(&done, text)?;
    Ok(())
}

fn text(done: &GcDone) -> String {
    let (removed, kept) =
        if done.dry_run { ("would remove", "would keep") } else { ("removed", "kept") };
    let recent = match done.in_grace {
        0 => String::new(),
        n => format!(
            ", {} of them only because they were used recently (see --grace)",
            HumanCount(n)
        ),
    };
    let invalid = match done.invalid_releases {
        0 => String::new(),
        n => format!("; {} invalid: no files, nothing kept but the list", count(n, "release")),
    };
    format!(
        "{removed} {}, {}; {kept} {}{recent}{invalid}",
        count(done.blobs, "blob"),
        bytes(done.bytes),
        HumanCount(done.kept)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_blobs_are_mentioned_only_if_there_are_any() {
        let mut done = GcDone {
            dry_run: false,
            blobs: 1,
            bytes: 922,
            kept: 3,
            in_grace: 0,
            invalid_releases: 0,
        };
        assert_eq!(text(&done), "removed 1 blob, 922 B; kept 3");
        (done.dry_run, done.in_grace) = (true, 2);
        assert_eq!(
            text(&done),
            "would remove 1 blob, 922 B; would keep 3, 2 of them only because they were used \
             recently (see --grace)"
        );
        done = GcDone {
            dry_run: false,
            blobs: 0,
            bytes: 0,
            kept: 3,
            in_grace: 0,
            invalid_releases: 2,
        };
        assert_eq!(
            text(&done),
            "removed 0 blobs, 0 B; kept 3; 2 releases invalid: no files, nothing kept but the list"
        );
    }
}
