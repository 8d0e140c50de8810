//! `perennial peers`: connected peers.

use clap::Args;
use perennial_control::PeerRow;

use crate::failure::CommandError;
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// List connected peers
///
/// A peer is another node. With --peer, connects to that address first; an address is a multiaddr,
/// such as /ip4/192.0.2.7/tcp/4407.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial peers
  perennial peers --peer /dns4/archive.example.org/tcp/4407 --json")]
pub(crate) struct PeersArgs {}

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |row| screen.row(&row, text);
    if !session.has_peers() && !super::status::ask(session).await?.daemon {
        return Err(CommandError::NoNode(session.data().to_owned()));
    }
    let listed = session.ask_rows(perennial_control::Peers, Dial::AndWait, print).await?;
    if listed.rows == 0 {
        screen.status(format_args!("no peer is connected; connect to one with --peer MULTIADDR"));
    }
    Ok(())
}

fn text(row: &PeerRow) -> String {
    let address =
        row.address.as_deref().map(|address| format!("  {}", safe(address))).unwrap_or_default();
    let faults =
        if row.faults > 0 { format!("  {}", count(row.faults, "fault")) } else { String::new() };
    format!(
        "{}{address}  {} received, {} sent{faults}",
        safe(&row.peer_id),
        bytes(row.received_bytes),
        bytes(row.sent_bytes)
    )
}
