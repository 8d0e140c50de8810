//! `perennial ls`: the releases that this node holds or knows.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use perennial_control::{Ask, Listed, Ls, ReleaseRow};
use perennial_manifest::{Holding, PublisherRef, Selector};

use crate::failure::CommandError;
use crate::name::{RELEASES, release_cells};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};
use crate::table::Table;

/// List releases: held, partial, or only known
///
/// A release is `held` when all its bytes are here and verified, `partial` when some are, and
/// `known` when only its entry is: the statement, signed by a publisher, that the release exists
/// and which files it has. It is `invalid` when the list of files that its publisher signed does
/// not fit it: such a release has no files. Given a name, connected peers are asked too: `peers` is
/// what only they know.
///
/// A terminal shows a table that fits its width. A pipe or a file gets the values whole, separated
/// by tabs: package URL, registry, size, state, publisher, its kind, date, release id, files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial ls
  perennial ls kubekey --state held
  perennial ls --publisher kubesphere-savers --json")]
pub(crate) struct LsArgs {
    /// List only what this names: NAME or NAME@VERSION, an image as docker names it, pkg:… (a
    /// package URL) or a release id
    selector: Option<Selector>,
    /// List only releases of this publisher: its DID, or your name for it
    #[arg(long, value_name = "DID|NAME")]
    publisher: Option<PublisherRef>,
    /// List only releases in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<Holding>,
    /// List at most this many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

fn state_parser() -> impl TypedValueParser<Value = Holding> {
    let values = [
        PossibleValue::new("held").help("All bytes are here"),
        PossibleValue::new("partial").help("Some bytes are here"),
        PossibleValue::new("known").help("Only the signed entry is here"),
        PossibleValue::new("invalid").help("Its list of files does not fit it"),
    ];
    PossibleValuesParser::new(values).try_map(|word| word.parse())
}

pub(crate) async fn run(
    args: LsArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let none = match &args.selector {
        Some(selector) => NoRow::Failure(CommandError::NoMatch {
            message: format!("no release known here or to connected peers matches {selector}"),
            hint:
                "`perennial search WORD` finds parts of names; --peer HOST:PORT asks another node"
                    .into(),
        }),
        None => NoRow::Note("no release is listed here"),
    };
    let request = Ls {
        selector: args.selector,
        publisher: args.publisher,
        state: args.state,
        limit: args.limit,
    };
    let dial = if request.selector.is_some() { Dial::AndWarn } else { Dial::Never };
    list_releases(request, dial, session, screen, none).await
}

/// The meaning of an empty list.
pub(super) enum NoRow {
    /// The list is empty.
    Note(&'static str),
    /// The command asked for something that is not there.
    Failure(CommandError),
}

/// Prints rows as they arrive, for `ls` and `search`.
pub(super) async fn list_releases<R: Ask<Item = ReleaseRow, Answer = Listed>>(
    request: R,
    dial: Dial,
    session: &Session<'_>,
    screen: &Screen,
    none: NoRow,
) -> Result<(), CommandError> {
    let mut table = Table::new(screen, RELEASES);
    let print = |row| match screen.json {
        true => screen.json_line(&row),
        false => table.push(release_cells(&row)),
    };
    let listed = session.ask_rows(request, dial, print).await;
    // What came before an error is printed, too.
    table.print()?;
    let listed = listed?;
    for notice in &listed.notices {
        screen.status(format_args!("warning: {}", safe(notice)));
    }
    match listed {
        Listed { rows: 0, .. } => match none {
            NoRow::Note(text) => screen.status(format_args!("{text}")),
            NoRow::Failure(error) => return Err(error),
        },
        Listed { rows, more: true, .. } => {
            screen.status(format_args!("only the first {rows} are listed; --limit lists more"));
        }
        Listed { .. } => {}
    }
    Ok(())
}
