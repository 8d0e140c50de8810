//! `perennial denied`: the deny list.

use clap::Args;
use perennial_control::{Denied, DeniedRow};

use crate::failure::CommandError;
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};
use crate::table::{Cell, Column, Fit, Table};

/// List what this node neither takes in nor gives out
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial denied
  perennial denied --json")]
pub(crate) struct DeniedArgs {}

/// The columns of denied.
const DENIED: [Column; 3] = [("WHAT", Fit::Whole), ("DENIED", Fit::Whole), ("REASON", Fit::Cut)];

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let mut table = Table::new(screen, DENIED);
    let print = |row| match screen.json {
        true => screen.json_line(&row),
        false => table.push(cells(&row)),
    };
    let listed = session.ask_rows(Denied, Dial::Never, print).await;
    table.print()?;
    if listed?.rows == 0 {
        screen.status(format_args!("nothing is denied"));
    }
    Ok(())
}

fn cells(row: &DeniedRow) -> [Cell; 3] {
    [
        Cell::same(row.what.as_str()),
        Cell::same(safe(&row.target.to_string())),
        Cell::same(safe(row.reason.as_deref().unwrap_or_default())),
    ]
}
