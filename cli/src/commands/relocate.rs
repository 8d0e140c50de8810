//! `perennial relocate`: tell where files that were added in place are after a move.

use std::path::PathBuf;

use clap::Args;
use perennial_control::{Relocate, RelocateDone, UnmovedRow};

use crate::failure::CommandError;
use crate::paths::{absolute, existing};
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// Refer to files added in place (`perennial add --in-place`) at their new place
///
/// Every file below OLD is looked for at the same path below NEW and read; it counts as moved when
/// its bytes are right. Nothing is copied, and the files themselves are not touched. The exit code
/// is 4 when a file is not there or has other bytes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial relocate /srv/mirror /mnt/new/mirror
  perennial relocate /srv/mirror/big.img /srv/images/big.img
  perennial relocate /srv/mirror /mnt/new/mirror --json")]
pub(crate) struct RelocateArgs {
    /// Directory or file where it was when it was added
    old: PathBuf,
    /// Where it is now
    new: PathBuf,
}

pub(crate) async fn run(
    args: RelocateArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Relocate { from: absolute(&args.old)?, to: existing(&args.new)? };
    let print = |row: UnmovedRow| screen.row(&row, unmoved);
    let done = session.ask_rows(request, Dial::Never, print).await?;
    screen.row(&done, text)?;
    if done.unmoved > 0 {
        return Err(CommandError::Corrupt { corrupt: 0, lost: done.unmoved });
    }
    Ok(())
}

fn unmoved(row: &UnmovedRow) -> String {
    let why = if row.differs { "has other bytes" } else { "is not there" };
    format!("NOT MOVED  {}: {} {why}", safe(&row.old), safe(&row.new))
}

fn text(done: &RelocateDone) -> String {
    let restored = match done.restored {
        0 => String::new(),
        restored => format!("; {} whole again", count(restored, "release")),
    };
    format!(
        "{} read at the new place, {}{restored}",
        count(done.artifacts, "file"),
        bytes(done.bytes)
    )
}
