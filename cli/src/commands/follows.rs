//! `perennial follows`: the publishers that this node follows.

use clap::Args;
use perennial_control::{FollowRow, Follows, Target};
use perennial_manifest::{PublisherId, PublisherKind};

use super::follow::listed;
use crate::failure::CommandError;
use crate::name::short_did;
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};
use crate::table::{Cell, Column, Fit, Table};

/// List the publishers that this node follows
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial follows
  perennial follows --json")]
pub(crate) struct FollowsArgs {}

/// The columns of follows.
const FOLLOWS: [Column; 6] = [
    ("NAME", Fit::Cut),
    ("PUBLISHER", Fit::Whole),
    ("KIND", Fit::Whole),
    ("RELEASES", Fit::Number),
    ("HELD", Fit::Number),
    ("NOTE", Fit::Whole),
];

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let mut table = Table::new(screen, FOLLOWS);
    let print = |row| match screen.json {
        true => screen.json_line(&row),
        false => table.push(cells(&row)),
    };
    let listed = session.ask_rows(Follows, Dial::Never, print).await;
    table.print()?;
    if listed?.rows == 0 {
        screen.status(format_args!(
            "no publisher is followed; follow one with `perennial follow DID`"
        ));
    }
    Ok(())
}

fn cells(row: &FollowRow) -> [Cell; 6] {
    let did = row.publisher.to_string();
    let key = |id: &PublisherId| short_did(&id.to_string());
    let mut notes = Vec::new();
    match row.publisher {
        Target::All => notes.push("not trusted for names".to_owned()),
        Target::Publisher(_) if row.forked => notes.push("FORKED".to_owned()),
        Target::Publisher(_) => {}
    }
    notes.extend(row.only.as_deref().map(|patterns| match patterns {
        [] => "trusted, keeps nothing".to_owned(),
        patterns => format!("keeps {}", listed(patterns)),
    }));
    notes.extend(row.successor.as_ref().map(|next| format!("handed over to {}", key(next))));
    notes.extend(row.predecessor.as_ref().map(|old| format!("took over from {}", key(old))));
    let kind = match row.publisher {
        Target::All => "",
        Target::Publisher(_) => row.kind.map_or("no profile", PublisherKind::as_str),
    };
    [
        Cell::same(safe(row.name.as_deref().unwrap_or_default())),
        Cell::brief(short_did(&did), did),
        Cell::same(kind),
        Cell::same(row.releases.to_string()),
        Cell::same(row.held_releases.to_string()),
        Cell::same(notes.join(", ")),
    ]
}
