//! `perennial unfollow`: stop fetching what a publisher releases.

use clap::Args;
use perennial_control::{Done, Request, Target};

use super::follow::FollowResult;
use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::{Screen, safe};

/// Stop following a publisher
///
/// What is held stays until `perennial gc`; pin what you want to keep.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial unfollow kubesphere-savers
  perennial unfollow all")]
pub(crate) struct UnfollowArgs {
    /// Publisher (did:key:…, or what you called it), or all
    #[arg(value_name = "DID|NAME|all", value_parser = target)]
    target: Target,
}

fn target(text: &str) -> Result<Target, String> {
    if text == "all" { Ok(Target::All) } else { super::publisher(text).map(Target::Publisher) }
}

pub(crate) async fn run(
    args: UnfollowArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let publisher = match &args.target {
        Target::All => "all".to_owned(),
        Target::Publisher(name) => name.clone(),
    };
    let request = Request::Unfollow { target: args.target };
    let Done::Ok = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&FollowResult { publisher, followed: false }, |row| {
        format!("no longer following {}", safe(&row.publisher))
    })?;
    Ok(())
}
