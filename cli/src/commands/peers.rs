//! `perennial peers`: connected peers.

use clap::Args;
use perennial_control::PeerRow;

use crate::failure::CommandError;
use crate::name::middle;
use crate::quantity::bytes;
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};
use crate::table::{Cell, Column, Fit, Table};

/// List connected peers
///
/// A peer is another node. With --peer, connects to that one first. Addresses are shown as
/// multiaddresses, such as /ip4/192.0.2.7/tcp/4407.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial peers
  perennial peers --peer /dns4/archive.example.org/tcp/4407 --json")]
pub(crate) struct PeersArgs {}

/// The columns of peers.
const PEERS: [Column; 5] = [
    ("PEER", Fit::Whole),
    ("ADDRESS", Fit::Cut),
    ("RECEIVED", Fit::Number),
    ("SENT", Fit::Number),
    ("FAULTS", Fit::Number),
];

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let mut table = Table::new(screen, PEERS);
    let print = |row| match screen.json {
        true => screen.json_line(&row),
        false => table.push(cells(&row)),
    };
    if !session.has_peers() && !super::status::ask(session).await?.daemon {
        return Err(CommandError::NoNode(session.data().to_owned()));
    }
    let listed = session.ask_rows(perennial_control::Peers, Dial::AndWait, print).await;
    table.print()?;
    if listed?.rows == 0 {
        screen.status(format_args!("no peer is connected; connect to one with --peer HOST:PORT"));
    }
    Ok(())
}

fn cells(row: &PeerRow) -> [Cell; 5] {
    let faults = if row.faults > 0 { row.faults.to_string() } else { String::new() };
    [
        Cell::brief(middle(&row.peer_id), safe(&row.peer_id)),
        Cell::same(safe(row.address.as_deref().unwrap_or_default())),
        Cell::same(bytes(row.received_bytes)),
        Cell::same(bytes(row.sent_bytes)),
        Cell::brief(faults, row.faults.to_string()),
    ]
}
