//! `perennial gc`: free what nothing needs.

use std::time::Duration;

use clap::Args;
use perennial_control::{Done, Gc, Request};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::{bytes, count, duration};
use crate::screen::Screen;

/// Remove blobs that no pin, no follow and nothing under way needs
///
/// Signed statements are never removed. Any error while looking removes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial gc --dry-run
  perennial gc
  perennial gc --grace 14d")]
pub(crate) struct GcArgs {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Spare what was touched in this time, as in 90s, 15m, 36h, 14d [default: the node's, at first 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grace: Option<Duration>,
}

pub(crate) async fn run(
    args: GcArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let grace_seconds = args.grace.map(|grace| grace.as_secs());
    let request = Request::Gc(Gc { dry_run: args.dry_run, grace_seconds });
    let Done::Gc(done) = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&done, |done| {
        format!(
            "{} {}, {}; {} stay, {} of them only because they were touched lately",
            if done.dry_run { "would remove" } else { "removed" },
            count(done.blobs, "blob"),
            bytes(done.bytes),
            done.kept,
            done.in_grace
        )
    })?;
    Ok(())
}
