//! `perennial verify`: read stored blobs again.

use clap::Args;
use perennial_control::{Done, Item, Request};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::{bytes, count, rate, seconds};
use crate::screen::{Screen, safe};

/// Read every stored blob and statement again and report what no longer matches its name
///
/// What fails is set aside, never leaves this node, and is fetched again from peers where it is pinned or followed.
/// The exit code is 4 when anything failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial verify
  perennial verify --json --quiet")]
pub(crate) struct VerifyArgs {}

pub(crate) async fn run(link: &Link<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |item| match item {
        Item::Corrupt(row) => {
            screen.row(&row, |row| format!("CORRUPT  {}  {}", safe(&row.blob), safe(&row.reason)))
        }
        _ => Ok(()),
    };
    let Done::Verify(done) = link.ask_rows(Request::Verify, print).await? else {
        return Err(CommandError::Answer);
    };
    screen.row(&done, |done| {
        let took = std::time::Duration::from_millis(done.elapsed_ms);
        format!(
            "{} read, {} in {}, {}: {} corrupt",
            count(done.checked, "blob"),
            bytes(done.bytes),
            seconds(took),
            rate(done.bytes, took),
            if done.corrupt == 0 { "none".to_owned() } else { done.corrupt.to_string() },
        )
    })?;
    if done.corrupt > 0 {
        return Err(CommandError::Corrupt(count(done.corrupt, "stored object")));
    }
    Ok(())
}
