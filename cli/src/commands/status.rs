//! `perennial status`: this node in numbers.

use std::fmt::Write as _;

use clap::Args;
use perennial_control::{Done, Request, StatusRow};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};

/// Show this node: its name, addresses, peers, and what it stores
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial status
  perennial status --json
  perennial --data /srv/perennial --quiet status && echo 'it answers'")]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(link: &Link<'_>, screen: &Screen) -> Result<(), CommandError> {
    let Done::Status(row) = link.ask(Request::Status).await? else {
        return Err(CommandError::Answer);
    };
    screen.row(&row, |row| text(row).trim_end().to_owned())?;
    Ok(())
}

fn text(row: &StatusRow) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        // writing to a String does not fail
        let _ = writeln!(out, "{name:<11}{value}");
    };
    field("peer id", &safe(&row.peer_id));
    for address in &row.addresses {
        field("listens", &safe(address));
    }
    if let Some(publisher) = &row.publisher {
        field("publisher", &safe(publisher));
    }
    field("peers", &row.peers.to_string());
    field("releases", &format!("{} held, {} known", row.held, row.releases));
    field("entries", &row.entries.to_string());
    field("stored", &format!("{} in {}", bytes(row.stored_bytes), count(row.blobs, "blob")));
    field("logical", &format!("{} if nothing were shared", bytes(row.logical_bytes)));
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
