//! `perennial peers`: connected peers.

use clap::Args;
use perennial_control::{Done, Item, PeerRow, Request};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::bytes;
use crate::screen::{Screen, safe};

/// List connected peers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial peers
  perennial peers --peer /dns4/archive.example.org/tcp/4407 --json")]
pub(crate) struct PeersArgs {}

pub(crate) async fn run(link: &Link<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |item| match item {
        Item::Peer(row) => screen.row(&row, text),
        _ => Ok(()),
    };
    let Done::Listed { rows, .. } = link.ask_rows(Request::Peers, print).await? else {
        return Err(CommandError::Answer);
    };
    if rows == 0 {
        screen.status(format_args!("no peer is connected; name one with --peer MULTIADDR"));
    }
    Ok(())
}

fn text(row: &PeerRow) -> String {
    let address =
        row.address.as_deref().map(|address| format!("  {}", safe(address))).unwrap_or_default();
    let faults = if row.faults > 0 { format!("  {} faults", row.faults) } else { String::new() };
    format!(
        "{}{address}  {} received, {} sent{faults}",
        safe(&row.peer_id),
        bytes(row.received_bytes),
        bytes(row.sent_bytes)
    )
}
