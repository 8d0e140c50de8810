//! `perennial follows`: the publishers that this node follows.

use clap::Args;
use perennial_control::{FollowRow, Follows, Target};
use perennial_manifest::PublisherKind;

use crate::failure::CommandError;
use crate::quantity::count;
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// List the publishers that this node follows
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial follows
  perennial follows --json")]
pub(crate) struct FollowsArgs {}

pub(crate) async fn run(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |row| screen.row(&row, text);
    let listed = session.ask_rows(Follows, Dial::Never, print).await?;
    if listed.rows == 0 {
        screen.status(format_args!(
            "no publisher is followed; follow one with `perennial follow DID`"
        ));
    }
    Ok(())
}

fn text(row: &FollowRow) -> String {
    if row.publisher == Target::All {
        return "all  every publisher, none of them trusted for names".into();
    }
    let name = row.name.as_deref().map(|name| format!("  {}", safe(name))).unwrap_or_default();
    let kind = row.kind.map_or("no profile yet", PublisherKind::as_str);
    let forked = if row.forked { "  FORKED: two histories were signed with this key" } else { "" };
    format!(
        "{}{name}  {kind}  {}, {} held{forked}",
        row.publisher,
        count(row.releases, "release"),
        row.held
    )
}
