//! `perennial follows`: whom this node follows.

use clap::Args;
use perennial_control::{Done, FollowRow, Item, Request};
use perennial_manifest::PublisherKind;

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::count;
use crate::screen::{Screen, safe};

/// List whom this node follows
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial follows
  perennial follows --json")]
pub(crate) struct FollowsArgs {}

pub(crate) async fn run(link: &Link<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |item| match item {
        Item::Follow(row) => screen.row(&row, text),
        _ => Ok(()),
    };
    let Done::Listed { rows, .. } = link.ask_rows(Request::Follows, print).await? else {
        return Err(CommandError::Answer);
    };
    if rows == 0 {
        screen.status(format_args!("nobody; `perennial follow DID` begins"));
    }
    Ok(())
}

fn text(row: &FollowRow) -> String {
    if row.publisher == "all" {
        return "all  every publisher, none of them trusted for names".into();
    }
    let name = row.name.as_deref().map(|name| format!("  {}", safe(name))).unwrap_or_default();
    let kind = row.kind.map_or("kind not known yet", PublisherKind::as_str);
    let forked = if row.forked { "  FORKED: somebody signed two histories" } else { "" };
    format!(
        "{}{name}  {kind}  {}, {} held{forked}",
        safe(&row.publisher),
        count(row.releases, "release"),
        row.held
    )
}
