//! `perennial verify`: read back everything stored.

use std::time::Duration;

use clap::Args;
use perennial_control::{CorruptRow, Verify, VerifyDone};

use crate::failure::CommandError;
use crate::quantity::{at_rate, bytes, count, seconds};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// Read every stored blob and entry again and report what is lost or does not match its digest
///
/// Corrupt data is set aside, is never served, and is fetched again from peers where a pin or a
/// follow needs it. What the disk does not give is named with its error, and the rest is read all
/// the same. Files added in place are read where they are; one that is put back counts again. The
/// exit code is 4 as long as anything is corrupt, unread, or missing of a pinned release.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial verify
  perennial verify --json --quiet")]
pub(crate) struct VerifyArgs {}

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |row: CorruptRow| {
        screen.row(&row, |row| match (row.lost, row.unreadable) {
            (true, _) => format!("LOST     {}", safe(&row.reason)),
            (false, true) => format!("UNREAD   {}  {}", row.blob, safe(&row.reason)),
            (false, false) => format!("CORRUPT  {}  {}", row.blob, safe(&row.reason)),
        })
    };
    let done = session.ask_rows(Verify, Dial::Never, print).await?;
    screen.row(&done, text)?;
    match (done.corrupt, done.lost_objects, done.unread) {
        (0, 0, 0) => Ok(()),
        (0, 0, unread) => Err(CommandError::Unread(count(unread, "stored object"))),
        (corrupt, lost, _) => Err(CommandError::Corrupt { corrupt, lost }),
    }
}

fn text(done: &VerifyDone) -> String {
    let took = Duration::from_millis(done.elapsed_ms);
    format!(
        "read {}, {} in {}{}: {} corrupt{}{}{}",
        count(done.checked, "blob"),
        bytes(done.bytes),
        seconds(took),
        at_rate(done.bytes, took),
        match done.corrupt {
            0 => "none".to_owned(),
            corrupt => corrupt.to_string(),
        },
        if done.lost_objects == 0 {
            String::new()
        } else {
            format!(", {} lost", done.lost_objects)
        },
        match done.unread {
            0 => String::new(),
            unread => format!(", {unread} unread because of errors of the disk"),
        },
        match done.restored {
            0 => String::new(),
            restored => format!("; {} whole again", count(restored, "release")),
        },
    )
}
