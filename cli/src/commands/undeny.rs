//! `perennial undeny`: allow again what was denied.

use clap::Args;
use perennial_control::{DeniedRow, Undeny};
use perennial_manifest::DenyTarget;

use crate::failure::CommandError;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Take a digest, a package or a publisher off the deny list
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial undeny pkg:generic/kubekey@v3.1.0")]
pub(crate) struct UndenyArgs {
    /// Digest, package URL or publisher, as `perennial denied` lists it
    #[arg(value_name = "DIGEST|PURL|DID")]
    target: DenyTarget,
}

pub(crate) async fn run(
    args: UndenyArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let row = session.ask(Undeny { target: args.target }).await?;
    screen.row(&row, |row: &DeniedRow| {
        format!("no longer denied: {}", safe(&row.target.to_string()))
    })?;
    Ok(())
}
