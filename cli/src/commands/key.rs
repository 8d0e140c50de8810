//! `perennial key`: the publisher key of this data directory.

use clap::Args;
use perennial_control::{Key, Merge, NewFeed};

use crate::failure::CommandError;
use crate::quantity::entries;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Show the publisher key that this node signs with (created on first use)
///
/// The publisher is the key's DID (did:key:…): give it to people who should follow you. Keep a copy
/// of the key file, but never sign with it on two machines: that forks your feed (the chain of
/// entries you signed), and every node sees it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial key
  perennial key --did                only the DID, as `follow` takes it
  perennial key --merge              after a fork: declare all branches yours")]
pub(crate) struct KeyArgs {
    /// Print only the DID, for scripts
    #[arg(long)]
    did: bool,
    /// Sign an entry that joins all branches of your forked feed, which ends the fork
    #[arg(long)]
    merge: bool,
    /// Begin a feed with a key that was copied here and has signed nothing elsewhere
    #[arg(long)]
    new_feed: bool,
}

pub(crate) async fn run(
    args: KeyArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    if args.new_feed {
        session.ask(NewFeed).await?;
    }
    if args.merge {
        session.ask(Merge).await?;
    }
    let row = session.ask(Key).await?;
    screen.row(&row, |row| {
        if args.did {
            return row.publisher.to_string();
        }
        let forked = if row.forked {
            "\nFORKED     two histories were signed with this key: find out where else it is used, \
             then run `perennial key --merge`"
        } else {
            ""
        };
        format!(
            "publisher  {}\nkind       {}\nsigned     {}\nfile       {}{forked}",
            row.publisher,
            row.kind,
            entries(row.entries),
            safe(&row.file),
        )
    })?;
    Ok(())
}
