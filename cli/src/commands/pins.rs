//! `perennial pins`: what may not be collected.

use clap::Args;
use perennial_control::{Done, Item, Request};

use super::pin::pin_line;
use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::Screen;

/// List what is pinned
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial pins
  perennial pins --json")]
pub(crate) struct PinsArgs {}

pub(crate) async fn run(link: &Link<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |item| match item {
        Item::Pin(row) => screen.row(&row, pin_line),
        _ => Ok(()),
    };
    let Done::Listed { rows, .. } = link.ask_rows(Request::Pins, print).await? else {
        return Err(CommandError::Answer);
    };
    if rows == 0 {
        screen.status(format_args!("nothing is pinned"));
    }
    Ok(())
}
