//! `perennial unpin`: remove a pin.

use clap::Args;
use perennial_control::Unpin;
use perennial_manifest::{PublisherRef, Selector};

use super::pin::pin_line;
use crate::failure::CommandError;
use crate::screen::Screen;
use crate::session::Session;

/// Remove a pin
///
/// The next `perennial gc` after the grace period removes the bytes, unless a follow or another pin
/// needs them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial unpin kubekey@v3.1.0
  perennial unpin kubekey@v3.1.0 kubekey@v3.0.9
  perennial unpin 6ddf8a4e")]
pub(crate) struct UnpinArgs {
    /// NAME@VERSION, pkg:… (a package URL), a release id, or blake3:…
    #[arg(required = true, value_name = "SELECTOR")]
    selectors: Vec<Selector>,
    /// Unpin the release of this publisher: its DID, or your name for it
    #[arg(long, value_name = "DID|NAME")]
    publisher: Option<PublisherRef>,
}

pub(crate) async fn run(
    args: UnpinArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let mut outcome = Ok(());
    for selector in args.selectors {
        match session.ask(Unpin { selector, publisher: args.publisher.clone() }).await {
            Ok(row) => screen.row(&row, |row| format!("unpinned {}", pin_line(row)))?,
            // The others are unpinned all the same.
            Err(error) => outcome = error.after(outcome, screen),
        }
    }
    outcome
}
