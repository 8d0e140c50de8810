//! `perennial rebuild-index`: make the index again from the files.

use clap::Args;
use perennial_control::{Done, Request};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::{count, seconds};
use crate::screen::Screen;

/// Make the index again from the stored files
///
/// The index only makes things fast: releases, pins and follows are the same afterwards. A node does this by itself
/// when it doubts its index.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial rebuild-index
  perennial --data /srv/perennial rebuild-index --json")]
pub(crate) struct RebuildIndexArgs {}

pub(crate) async fn run(link: &Link<'_>, screen: &Screen) -> Result<(), CommandError> {
    let Done::Rebuild(done) = link.ask(Request::RebuildIndex).await? else {
        return Err(CommandError::Answer);
    };
    screen.row(&done, |done| {
        format!(
            "index made again: {}, {} in {}",
            count(done.releases, "release"),
            count(done.entries, "statement"),
            seconds(std::time::Duration::from_millis(done.elapsed_ms))
        )
    })?;
    Ok(())
}
