//! `perennial follow`: fetch and keep what a publisher releases, trust it for names.

use clap::Args;
use perennial_control::{Done, Follow, Request, Target};
use serde::Serialize;

use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::{Screen, safe};

/// Fetch, keep and serve what a publisher releases, and trust it for names
///
/// `all` follows every publisher that this node hears of, which makes it a full archive; it trusts none of them
/// for names.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial follow did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd --as kubesphere-savers
  perennial follow all")]
pub(crate) struct FollowArgs {
    /// Publisher (did:key:…), or all
    #[arg(value_name = "DID|all", value_parser = super::did_or_all)]
    target: Target,
    /// What to call it here
    #[arg(long = "as", value_name = "NAME", value_parser = super::follow_name)]
    name: Option<String>,
}

/// The result, for scripts.
#[derive(Serialize)]
pub(super) struct FollowResult {
    pub(super) publisher: String,
    pub(super) followed: bool,
}

pub(crate) async fn run(
    args: FollowArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let publisher = match &args.target {
        Target::All => "all".to_owned(),
        Target::Publisher(id) => id.clone(),
    };
    let request = Request::Follow(Follow { target: args.target, name: args.name });
    let Done::Ok = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&FollowResult { publisher, followed: true }, |row| {
        match row.publisher.as_str() {
            "all" => "following every publisher".into(),
            id => format!("following {}", safe(id)),
        }
    })?;
    Ok(())
}
