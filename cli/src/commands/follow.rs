//! `perennial follow`, `perennial trust`: keep releases of a publisher, and trust it for names.

use clap::Args;
use perennial_control::{Follow, Target};
use perennial_manifest::{FollowName, NamePattern, PublisherId};
use serde::Serialize;

use crate::failure::CommandError;
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// Fetch, keep and serve what a publisher releases, and trust it for names
///
/// A publisher is a key, and its DID (did:key:…) is the id of that key: get it from the publisher,
/// who sees it with `perennial key`. A node that follows a publisher fetches all its releases, and
/// names such as kubekey@v3.1.0 mean what it signed. With --only it fetches some of them unasked,
/// and the others when they are asked for. To keep a single release, `perennial pin` it; to trust
/// names without keeping anything, `perennial trust` the publisher.
///
/// `all` follows every publisher that this node hears of, which makes it a full archive; it trusts
/// none of them for names.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial follow did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd --as kubesphere-savers
  perennial follow did:key:z6Mk… --only 'kubekey@v3.*' --only 'minio/*'
  perennial follow all")]
pub(crate) struct FollowArgs {
    /// Publisher (did:key:…), or all
    #[arg(value_name = "DID|all", value_parser = target)]
    target: Target<PublisherId>,
    /// Your own name for the publisher, which every --publisher option accepts
    #[arg(long = "as", value_name = "NAME")]
    name: Option<FollowName>,
    /// Keep only releases whose names match, written as for `get`: `*` stops at a /, `**` does not
    /// (repeatable)
    #[arg(long, value_name = "PATTERN")]
    only: Vec<NamePattern>,
}

fn target(text: &str) -> Result<Target<PublisherId>, String> {
    text.parse().map_err(|error| format!("{error}; write did:key:z6Mk… or all"))
}

/// The result of `follow` and `unfollow`, for scripts.
#[derive(Serialize)]
pub(super) struct FollowResult {
    pub(super) publisher: String,
    pub(super) followed: bool,
    /// The patterns of names that are kept, if not all are.
    pub(super) only: Option<Vec<NamePattern>>,
}

pub(crate) async fn run(
    args: FollowArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let only = (!args.only.is_empty()).then_some(args.only);
    if args.target == Target::All && (only.is_some() || args.name.is_some()) {
        return Err(CommandError::usage(
            "--only and --as have no effect on `all`",
            "give the DID of the publisher that they are for",
        ));
    }
    follow(Follow { target: args.target, name: args.name, only }, session, screen).await
}

/// Asks the node to follow, and prints what it then keeps.
pub(super) async fn follow(
    request: Follow,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let (publisher, only) = (request.target.to_string(), request.only.clone());
    let answered = session.converse(request, Dial::Never, |_| Ok(()), |_| true).await?;
    if answered.embedded && only.as_ref().is_none_or(|patterns| !patterns.is_empty()) {
        screen.status(format_args!(
            "note: no node runs on this data directory, so nothing is fetched until one does: \
             `perennial serve --data {}`",
            session.data().display()
        ));
    }
    screen.row(&FollowResult { publisher, followed: true, only }, |row| {
        let id = safe(&row.publisher);
        match row.only.as_deref() {
            _ if row.publisher == "all" => "following every publisher".into(),
            None => format!("following {id}"),
            Some([]) => format!("trusting {id} for names; its releases are fetched when asked for"),
            Some(patterns) => format!("following {id}, keeping {}", listed(patterns)),
        }
    })?;
    Ok(())
}

/// Patterns in a line.
pub(super) fn listed(patterns: &[NamePattern]) -> String {
    let texts: Vec<_> = patterns.iter().map(|pattern| safe(pattern.as_str())).collect();
    texts.join(", ")
}
