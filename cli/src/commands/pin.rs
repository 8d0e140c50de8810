//! `perennial pin`: keep a release or a blob.

use clap::Args;
use perennial_control::{Pin, PinRow};
use perennial_manifest::{PublisherRef, Selector};

use crate::failure::CommandError;
use crate::quantity::bytes;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Keep a release or a blob, even when nothing else needs it
///
/// `perennial gc` never removes a pinned release. A pin keeps one release, or one blob (the bytes
/// of one file), of any publisher; to keep everything a publisher releases, `perennial follow` it.
/// Releases that you add are pinned.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial pin kubekey@v3.1.0
  perennial pin kubekey@v3.1.0 kubekey@v3.0.9
  perennial pin kubekey@v3.1.0 --publisher did:key:z6Mk…
  perennial pin blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")]
pub(crate) struct PinArgs {
    /// NAME@VERSION, pkg:… (a package URL), a release id, or blake3:…
    #[arg(required = true, value_name = "SELECTOR")]
    selectors: Vec<Selector>,
    /// Pin the release of this publisher: its DID, or your name for it
    #[arg(long, value_name = "DID|NAME")]
    publisher: Option<PublisherRef>,
}

pub(crate) async fn run(
    args: PinArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let mut outcome = Ok(());
    for selector in args.selectors {
        match session.ask(Pin { selector, publisher: args.publisher.clone() }).await {
            Ok(row) => screen.row(&row, |row| format!("pinned {}", pin_line(row)))?,
            // The others are pinned all the same.
            Err(error) => outcome = error.after(outcome, screen),
        }
    }
    outcome
}

/// The target of a pin, and how much of it is here.
pub(super) fn pin_line(row: &PinRow) -> String {
    let name = row.purl.as_ref().map(|purl| format!("{}  ", safe(purl.as_str())));
    let size = row.bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
    format!("{}{}{size}\n  {}    {}", name.unwrap_or_default(), row.state, row.what, row.target)
}
