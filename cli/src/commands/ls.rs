//! `perennial ls`: releases held or known.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use perennial_control::{Done, Item, Ls, Request};
use perennial_manifest::Holding;

use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::{Screen, release_line};

/// List releases: held, partial, or only known
///
/// `held` means that all bytes are here and were verified; `partial`, that some are; `known`, that only the
/// signed statement is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial ls
  perennial ls kubekey --state held
  perennial ls --publisher kubesphere-savers --json")]
pub(crate) struct LsArgs {
    /// Only what this names: NAME, NAME@VERSION, pkg:…, a release id
    #[arg(value_parser = super::selector)]
    selector: Option<String>,
    /// Only of this publisher: its did:key:…, or what you called it
    #[arg(long, value_name = "DID", value_parser = super::publisher)]
    publisher: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<Holding>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

fn state_parser() -> impl TypedValueParser<Value = Holding> {
    let values = [
        PossibleValue::new("held").help("All bytes are here"),
        PossibleValue::new("partial").help("Some bytes are here"),
        PossibleValue::new("known").help("Only the statement is here"),
    ];
    PossibleValuesParser::new(values).try_map(|word| word.parse())
}

pub(crate) async fn run(
    args: LsArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Ls(Ls {
        selector: args.selector,
        publisher: args.publisher,
        state: args.state,
        limit: args.limit,
    });
    list_releases(request, link, screen, "no such release here; `perennial get` asks other nodes")
        .await
}

/// Prints rows as they come, for `ls` and `search`.
pub(super) async fn list_releases(
    request: Request,
    link: &Link<'_>,
    screen: &Screen,
    none: &str,
) -> Result<(), CommandError> {
    let done = link
        .ask_rows(request, |item| match item {
            Item::Release(row) => screen.row(&row, release_line),
            _ => Ok(()),
        })
        .await?;
    match done {
        Done::Listed { rows: 0, .. } => screen.status(format_args!("{none}")),
        Done::Listed { rows, more: true } => {
            screen.status(format_args!("the first {rows}; there are more"))
        }
        Done::Listed { .. } => {}
        _ => return Err(CommandError::Answer),
    }
    Ok(())
}
