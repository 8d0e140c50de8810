//! `perennial pins`: the releases and blobs that are pinned.

use clap::Args;
use perennial_control::Pins;

use super::pin::pin_line;
use crate::failure::CommandError;
use crate::screen::Screen;
use crate::session::{Dial, Session};

/// List pinned releases and blobs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial pins
  perennial pins --json")]
pub(crate) struct PinsArgs {}

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |row| screen.row(&row, pin_line);
    let listed = session.ask_rows(Pins, Dial::Never, print).await?;
    if listed.rows == 0 {
        screen.status(format_args!("nothing is pinned"));
    }
    Ok(())
}
