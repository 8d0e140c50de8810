//! `perennial deny`: refuse a digest, a package or a publisher.

use clap::Args;
use perennial_control::{DeniedRow, Deny};
use perennial_manifest::DenyTarget;

use crate::failure::CommandError;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Refuse to take in or give out a digest, a package or a publisher
///
/// From now on this node fetches, serves and announces nothing of it: HTTP clients get 451 with
/// the reason, lists leave it out, and peers are told that it is not held. A package without a
/// version means all its versions.
///
/// `perennial gc` then removes the bytes of a denied digest, pinned or not. Of a denied package or
/// publisher it removes what is not pinned, and what no other release that you keep has.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial deny sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \\
      --reason 'court order 12/26'
  perennial deny pkg:generic/kubekey@v3.1.0 --reason 'withdrawn by upstream'
  perennial deny did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd")]
pub(crate) struct DenyArgs {
    /// Digest (blake3:… or sha256:…), package URL (pkg:…) or publisher (did:key:…)
    #[arg(value_name = "DIGEST|PURL|DID")]
    target: DenyTarget,
    /// Reason, shown to everybody who asks for what is denied
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

/// Longest reason, in bytes: it is sent with every refusal.
const MAX_REASON: usize = 500;

fn reason(text: &str) -> Result<String, String> {
    if text.len() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(format!("a reason is one line of at most {MAX_REASON} bytes"));
    }
    Ok(text.trim().to_owned())
}

pub(crate) async fn run(
    args: DenyArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let row = session.ask(Deny { target: args.target, reason: args.reason }).await?;
    screen.row(&row, |row: &DeniedRow| {
        format!(
            "denied {}; `perennial gc` removes what is held of it",
            safe(&row.target.to_string())
        )
    })?;
    Ok(())
}
