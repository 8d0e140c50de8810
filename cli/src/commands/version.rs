//! `perennial version`: the version of this program.

use clap::Args;
use serde::Serialize;

use crate::failure::CommandError;
use crate::screen::Screen;

/// Print the version of this program
///
/// The same as `perennial --version`. `perennial status` shows that of the running node.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial version
  perennial version --json")]
pub(crate) struct VersionArgs {}

/// The version, for scripts.
#[derive(Serialize)]
struct Version {
    version: &'static str,
}

pub(crate) fn run(screen: &Screen) -> Result<(), CommandError> {
    screen.row(&Version { version: env!("CARGO_PKG_VERSION") }, |row| {
        format!("perennial {}", row.version)
    })?;
    Ok(())
}
