//! `perennial unfollow`: stop keeping what a publisher releases.

use clap::Args;
use perennial_control::{Target, Unfollow};
use perennial_manifest::PublisherRef;

use super::follow::FollowResult;
use crate::failure::CommandError;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Stop following a publisher
///
/// Held releases stay until `perennial gc` removes them; pin those you want to keep.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial unfollow kubesphere-savers
  perennial unfollow all")]
pub(crate) struct UnfollowArgs {
    /// Publisher (its DID, or your name for it), or all
    #[arg(value_name = "DID|NAME|all")]
    target: Target<PublisherRef>,
}

pub(crate) async fn run(
    args: UnfollowArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let given = args.target.to_string();
    let publisher = session.ask(Unfollow { target: args.target }).await?.publisher.to_string();
    screen.row(&FollowResult { publisher, followed: false, only: None }, |row| {
        match row.publisher.as_str() {
            "all" => "no longer following every publisher".into(),
            id if id == given => format!("no longer following {}", safe(id)),
            id => format!("no longer following {} ({})", safe(&given), safe(id)),
        }
    })?;
    Ok(())
}
