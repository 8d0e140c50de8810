//! `perennial pin`: keep something whatever else happens.

use clap::Args;
use perennial_control::{Done, PinRow, Request};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::bytes;
use crate::screen::{Screen, safe};

/// Keep a release or a blob, whatever is unfollowed or collected
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial pin kubekey@v3.1.0
  perennial pin kubekey@v3.1.0 --publisher did:key:z6Mk…
  perennial pin blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")]
pub(crate) struct PinArgs {
    /// NAME@VERSION, pkg:…, a release id, or blake3:…
    #[arg(value_parser = super::selector)]
    selector: String,
    /// The release of this publisher: its did:key:…, or what you called it
    #[arg(long, value_name = "DID", value_parser = super::publisher)]
    publisher: Option<String>,
}

pub(crate) async fn run(
    args: PinArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Pin { selector: args.selector, publisher: args.publisher };
    let Done::Pin(row) = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&row, |row| format!("pinned {}", pin_line(row)))?;
    Ok(())
}

/// A pin in a list.
pub(super) fn pin_line(row: &PinRow) -> String {
    let purl = row.purl.as_deref().map(|purl| format!("  {}", safe(purl))).unwrap_or_default();
    let size = row.bytes.map(|size| format!("  {}", bytes(size))).unwrap_or_default();
    format!("{:<7}  {:<7}  {}{purl}{size}", safe(&row.what), row.state, safe(&row.target))
}
