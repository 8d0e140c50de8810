//! `perennial key`: the publisher key of this data directory.

use clap::Args;
use perennial_control::{Done, Request};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::count;
use crate::screen::{Screen, safe};

/// Show who this node signs as (the key is made when there is none)
///
/// Give the did:key:… to those who should follow you. Keep a copy of the key file, but never sign with a copy on
/// two machines: that forks the feed, and everybody sees it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial key
  perennial key --json
  perennial key --merge              after a fork: sign that both branches are yours")]
pub(crate) struct KeyArgs {
    /// Sign an entry that names all branches of your own forked feed, which ends the fork
    #[arg(long)]
    merge: bool,
}

pub(crate) async fn run(
    args: KeyArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    if args.merge && !matches!(link.ask(Request::Merge).await?, Done::Ok) {
        return Err(CommandError::Answer);
    }
    let Done::Key(row) = link.ask(Request::Key).await? else { return Err(CommandError::Answer) };
    screen.row(&row, |row| {
        let forked = if row.forked {
            "\nFORKED     somebody signed two histories with this key: find out who, then `perennial key --merge`"
        } else {
            ""
        };
        format!(
            "publisher  {}\nkind       {}\nsigned     {}\nfile       {}{forked}",
            safe(&row.publisher),
            row.kind,
            count(row.entries, "statement"),
            safe(&row.file),
        )
    })?;
    Ok(())
}
