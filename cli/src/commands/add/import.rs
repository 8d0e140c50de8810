//! The request for what comes from elsewhere, and what is said of what came.

use perennial_control::{Done, Import, Item, Request, Source};

use super::{AddArgs, added};
use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};

pub(super) async fn run(
    args: AddArgs,
    source: Source,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Import(Import {
        source,
        license: args.license,
        kind: args.kind,
        notes: args.notes,
        allow_private: args.allow_private,
        plain_http: args.plain_http,
    });
    let print = |item| match item {
        Item::Imported(row) => screen.row(&row, added),
        Item::NotImported(row) => screen
            .row(&row, |row| format!("NOT ADDED  {}\n  {}", safe(&row.what), safe(&row.reason))),
        Item::Completeness(row) => screen.row(&row, |row| {
            let all = row.held.len() + row.missing.len();
            let mut text =
                format!("{}: {} of {all} referenced images held", safe(&row.of), row.held.len());
            for missing in &row.missing {
                text += &format!("\n  missing  {}  {}", safe(&missing.what), safe(&missing.reason));
            }
            text
        }),
        _ => Ok(()),
    };
    let Done::Import(done) = link.ask_rows(request, print).await? else {
        return Err(CommandError::Answer);
    };
    screen.status(format_args!(
        "{} added, {}, {} of it new",
        count(done.releases, "release"),
        bytes(done.bytes),
        bytes(done.new_bytes)
    ));
    if done.failed > 0 {
        return Err(CommandError::Incomplete(done.failed));
    }
    Ok(())
}
