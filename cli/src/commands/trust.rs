//! `perennial trust`: let a publisher's names resolve, and keep nothing of it unasked.

use clap::Args;
use perennial_control::{Follow, Target};
use perennial_manifest::{FollowName, PublisherId};

use super::follow::follow;
use crate::failure::CommandError;
use crate::screen::Screen;
use crate::session::Session;

/// Trust a publisher for names, and fetch its releases only when they are asked for
///
/// Names such as kubekey@v3.1.0 then mean what the publisher signed, in `get` and over HTTP, as if
/// it were followed, but no release is fetched unasked. `perennial follow` keeps its releases as
/// well, `perennial unfollow` ends both.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial trust did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd --as kubesphere-savers
  perennial get kubekey@v3.1.0 -o out")]
pub(crate) struct TrustArgs {
    /// Publisher (did:key:…)
    #[arg(value_name = "DID")]
    publisher: PublisherId,
    /// Your own name for the publisher, which every --publisher option accepts
    #[arg(long = "as", value_name = "NAME")]
    name: Option<FollowName>,
}

pub(crate) async fn run(
    args: TrustArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let target = Target::Publisher(args.publisher);
    follow(Follow { target, name: args.name, only: Some(Vec::new()) }, session, screen).await
}
