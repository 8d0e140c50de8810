//! `perennial follow`: keep what a publisher releases, and trust it for names.

use clap::Args;
use perennial_control::{Follow, Target};
use perennial_manifest::{FollowName, PublisherId};
use serde::Serialize;

use crate::failure::CommandError;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Fetch, keep and serve what a publisher releases, and trust it for names
///
/// A publisher is a key, and its DID (did:key:…) is the id of that key: get it from the publisher,
/// who sees it with `perennial key`. A node that follows a publisher fetches all its releases, and
/// names such as kubekey@v3.1.0 mean what it signed. To keep a single release, `perennial pin` it.
///
/// `all` follows every publisher that this node hears of, which makes it a full archive; it trusts
/// none of them for names.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial follow did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd --as kubesphere-savers
  perennial follow all")]
pub(crate) struct FollowArgs {
    /// Publisher (did:key:…), or all
    #[arg(value_name = "DID|all", value_parser = target)]
    target: Target<PublisherId>,
    /// Your own name for the publisher, which every --publisher option accepts
    #[arg(long = "as", value_name = "NAME")]
    name: Option<FollowName>,
}

fn target(text: &str) -> Result<Target<PublisherId>, String> {
    text.parse().map_err(|error| format!("{error}; write did:key:z6Mk… or all"))
}

/// The result of `follow` and `unfollow`, for scripts.
#[derive(Serialize)]
pub(super) struct FollowResult {
    pub(super) publisher: String,
    pub(super) followed: bool,
}

pub(crate) async fn run(
    args: FollowArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let publisher = args.target.to_string();
    session.ask(Follow { target: args.target, name: args.name }).await?;
    screen.row(&FollowResult { publisher, followed: true }, |row| {
        match row.publisher.as_str() {
            "all" => "following every publisher".into(),
            id => format!("following {}", safe(id)),
        }
    })?;
    Ok(())
}
