//! `perennial rebuild-index`: rebuild the index from the stored files.

use clap::Args;
use perennial_control::RebuildIndex;

use crate::failure::CommandError;
use crate::quantity::{count, entries, seconds};
use crate::screen::Screen;
use crate::session::Session;

/// Rebuild the index from the stored files
///
/// The index only speeds things up: releases, pins and follows are the same afterwards. A node
/// rebuilds it on its own when it finds it damaged or out of date.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial rebuild-index
  perennial --data /srv/perennial rebuild-index --json")]
pub(crate) struct RebuildIndexArgs {}

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let done = session.ask(RebuildIndex).await?;
    screen.row(&done, |done| {
        format!(
            "index rebuilt: {}, {} in {}",
            count(done.releases, "release"),
            entries(done.entries),
            seconds(std::time::Duration::from_millis(done.elapsed_ms))
        )
    })?;
    Ok(())
}
