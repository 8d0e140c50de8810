//! `perennial status`: the state of the node in numbers.

use std::fmt::Write as _;

use clap::Args;
use perennial_control::{Status, StatusRow};
use perennial_node::StartError;
use perennial_node::place::PlaceError;

use crate::failure::CommandError;
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Show this node: its id, addresses, peers, and what it stores
///
/// Without a running node, shows what the archive stores, says that no node runs, and exits with 5.
///
/// An entry is a statement that a publisher signed, a blob is the bytes of one file. `blobs` and
/// `sync` count what was exchanged with other nodes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial status
  perennial status --json
  perennial --data /srv/perennial --quiet status && echo 'it answers'")]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let row = ask(session).await?;
    screen.row(&row, |row| text(row).trim_end().to_owned())?;
    // The node of a single command, such as this one, goes when the command ends.
    if row.daemon { Ok(()) } else { Err(CommandError::NoNode(session.data().to_owned())) }
}

/// The state of the node; where there is no archive, there is no node.
pub(super) async fn ask(session: &Session<'_>) -> Result<StatusRow, CommandError> {
    match session.ask(Status).await {
        Err(CommandError::Start(StartError::Place(PlaceError::NoArchive { .. }))) => {
            Err(CommandError::NoNode(session.data().to_owned()))
        }
        other => other,
    }
}

fn text(row: &StatusRow) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<11}{value}");
    };
    field("peer id", &safe(&row.peer_id));
    for address in &row.addresses {
        field("listens", &safe(address));
    }
    if let Some(publisher) = &row.publisher {
        field("publisher", &publisher.to_string());
    }
    field("peers", &row.peers.to_string());
    field("releases", &format!("{} known, {} held", row.releases, row.held));
    field("entries", &row.entries.to_string());
    field("stored", &format!("{} in {}", bytes(row.stored_bytes), count(row.blobs, "blob")));
    field(
        "logical",
        &format!(
            "{} as releases, counting shared files once per release",
            bytes(row.logical_bytes)
        ),
    );
    if row.quarantined > 0 {
        field(
            "CORRUPT",
            &format!("{} set aside after failing verification", count(row.quarantined, "blob")),
        );
    }
    field(
        "blobs",
        &format!("{} sent, {} received", bytes(row.sent_bytes), bytes(row.received_bytes)),
    );
    field(
        "sync",
        &format!(
            "{} sent, {} received",
            bytes(row.sync_sent_bytes),
            bytes(row.sync_received_bytes)
        ),
    );
    for notice in &row.notices {
        field("note", &safe(notice));
    }
    out
}
