//! `perennial pins`: the releases and blobs that are pinned.

use clap::Args;
use perennial_control::{PinKind, PinRow, Pins};
use perennial_manifest::PublisherKind;

use crate::failure::CommandError;
use crate::name::{ago, middle, publisher, registry, title};
use crate::quantity::{bytes, day};
use crate::screen::Screen;
use crate::session::{Dial, Session};
use crate::table::{Cell, Column, Fit, Table};

/// List pinned releases and blobs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial pins
  perennial pins --json")]
pub(crate) struct PinsArgs {}

/// The columns of pins.
const PINS: [Column; 8] = [
    ("NAME", Fit::Cut),
    ("REGISTRY", Fit::Cut),
    ("SIZE", Fit::Number),
    ("STATE", Fit::Whole),
    ("PUBLISHER", Fit::Cut),
    ("SIGNED", Fit::Whole),
    ("WHAT", Fit::Optional),
    ("ID", Fit::Optional),
];

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let mut table = Table::new(screen, PINS);
    let print = |row| match screen.json {
        true => screen.json_line(&row),
        false => table.push(cells(&row)),
    };
    let listed = session.ask_rows(Pins, Dial::Never, print).await;
    table.print()?;
    if listed?.rows == 0 {
        screen.status(format_args!("nothing is pinned"));
    }
    Ok(())
}

fn cells(row: &PinRow) -> [Cell; 8] {
    let target = row.target.to_string();
    let brief: String = match row.what {
        PinKind::Release => target.chars().take(8).collect(),
        PinKind::Blob => middle(&target),
    };
    let (name, place) = match &row.purl {
        Some(purl) => (Cell::brief(title(purl), purl.as_str()), registry(purl)),
        // A blob has no name but its digest.
        None => (Cell::brief(target.as_str(), ""), String::new()),
    };
    let signed = |time| Cell::brief(ago(time), day(time));
    let by = row
        .publisher
        .map(|id| publisher(&id, row.publisher_name.as_deref(), PublisherKind::default()));
    [
        name,
        Cell::same(place),
        Cell::same(row.bytes.map(bytes).unwrap_or_default()),
        Cell::same(row.state.as_str()),
        by.unwrap_or_default(),
        row.issued_at.map(signed).unwrap_or_default(),
        Cell::same(row.what.to_string()),
        Cell::brief(brief, target),
    ]
}
