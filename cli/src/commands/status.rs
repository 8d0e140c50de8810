//! `perennial status`: the state of the node in numbers.

use std::time::Duration;

use clap::Args;
use indicatif::HumanDuration;
use perennial_control::{FullBy, Status, StatusRow};
use perennial_node::StartError;
use perennial_node::place::PlaceError;

use crate::failure::CommandError;
use crate::fields::Fields;
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
    screen.row(&row, |row| text(row, screen))?;
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

fn text(row: &StatusRow, screen: &Screen) -> String {
    let mut fields = Fields::new(screen, 11);
    let up = HumanDuration(Duration::from_secs(row.uptime_seconds));
    let since = if row.daemon { format!(", running for {up}") } else { String::new() };
    fields.add("version", &format!("{}{since}", safe(&row.version)));
    fields.add("data", &safe(&row.data));
    if let Some(http) = &row.http {
        fields.add("http", &safe(http));
    }
    fields.add("peer id", &safe(&row.peer_id));
    for address in &row.addresses {
        fields.add("listens", &safe(address));
    }
    if let Some(publisher) = &row.publisher {
        fields.add("publisher", &publisher.to_string());
    }
    let follows = count(row.follows, "publisher");
    let all = if row.follows_all { "every publisher; trusts " } else { "" };
    fields.add("follows", &format!("{all}{follows}"));
    fields.add("peers", &row.peers.to_string());
    let known = row
        .releases
        .saturating_sub(row.held_releases + row.partial_releases + row.invalid_releases);
    let invalid = match row.invalid_releases {
        0 => String::new(),
        n => format!(", {n} invalid"),
    };
    fields.add(
        "releases",
        &format!(
            "{}: {} held, {} partial, {known} only known{invalid}",
            row.releases, row.held_releases, row.partial_releases
        ),
    );
    fields.add("entries", &row.entries.to_string());
    fields.add(
        "stored",
        &format!("{}: {} and the index", bytes(row.stored_bytes), count(row.blobs, "blob")),
    );
    fields.add(
        "logical",
        &format!(
            "{} as releases, counting shared files once per release",
            bytes(row.logical_bytes)
        ),
    );
    let limit = match row.quota_bytes {
        Some(quota) => format!(" of {} (--quota)", bytes(quota)),
        None => String::new(),
    };
    let reserve = match row.reserve_bytes {
        0 => "; no reserve".to_owned(),
        reserve => format!(", {} of it in reserve", bytes(reserve)),
    };
    fields.add("used", &format!("{}{limit}{reserve}", bytes(row.used_bytes)));
    if let Some(free) = row.free_bytes {
        fields.add("free", &bytes(free));
    }
    if let Some(by) = row.disk_full {
        let limit = match by {
            FullBy::Quota => "give the node a larger --quota",
            FullBy::Disk => "make room on the disk",
        };
        let declined = bytes(row.declined_bytes.unwrap_or_default());
        fields.add(
            "DISK FULL",
            &format!(
                "{declined} more did not fit, there is room for {}: unpin, unfollow or forget what \
                 is not needed and run `perennial gc`, or {limit}",
                bytes(row.room_bytes)
            ),
        );
    }
    if row.quarantined > 0 {
        fields.add(
            "CORRUPT",
            &format!("{} set aside after failing verification", count(row.quarantined, "blob")),
        );
    }
    if row.lost_objects > 0 {
        fields.add("LOST", &format!("{} added in place", count(row.lost_objects, "file")));
    }
    let exchanged = |sent, received| format!("{} sent, {} received", bytes(sent), bytes(received));
    fields.add("blobs", &exchanged(row.sent_bytes, row.received_bytes));
    fields.add("sync", &exchanged(row.sync_sent_bytes, row.sync_received_bytes));
    for notice in &row.notices {
        fields.add("note", &safe(notice));
    }
    fields.text()
}
