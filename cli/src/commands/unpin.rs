//! `perennial unpin`: take a pin away.

use clap::Args;
use perennial_control::{Done, Request};

use super::pin::pin_line;
use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::Screen;

/// Take a pin away
///
/// What nothing else needs goes with the next `perennial gc`, after its grace period.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial unpin kubekey@v3.1.0
  perennial unpin 6ddf8a4e")]
pub(crate) struct UnpinArgs {
    /// NAME@VERSION, pkg:…, a release id, or blake3:…
    #[arg(value_parser = super::selector)]
    selector: String,
    /// The release of this publisher: its did:key:…, or what you called it
    #[arg(long, value_name = "DID", value_parser = super::publisher)]
    publisher: Option<String>,
}

pub(crate) async fn run(
    args: UnpinArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Unpin { selector: args.selector, publisher: args.publisher };
    let Done::Pin(row) = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&row, |row| format!("no longer pinned {}", pin_line(row)))?;
    Ok(())
}
