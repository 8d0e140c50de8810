//! `perennial key`: the publisher key of this data directory.

use clap::Args;
use perennial_control::{Audit, AuditDone, AuditRow, Key, Merge, NewFeed};

use crate::failure::CommandError;
use crate::quantity::{count, entries};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

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
  perennial key --audit              find secrets in what you signed: exit code 4 if there are any
  perennial key --merge              after a fork: declare all branches yours")]
pub(crate) struct KeyArgs {
    /// Print only the DID, for scripts
    #[arg(long)]
    did: bool,
    /// Look for secrets in everything signed with the key: passwords, tokens and signatures in URLs
    #[arg(long, conflicts_with_all = ["did", "merge", "new_feed"])]
    audit: bool,
    /// Sign an entry that joins all branches of your forked feed, which ends the fork
    #[arg(long)]
    merge: bool,
    /// Begin a feed with a key that was copied here and has signed nothing elsewhere
    #[arg(long)]
    new_feed: bool,
}

impl KeyArgs {
    /// Whether a key is made if there is none.
    pub(crate) fn begins(&self) -> bool {
        !self.audit
    }
}

pub(crate) async fn run(
    args: KeyArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    if args.audit {
        return audit(session, screen).await;
    }
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

async fn audit(session: &Session<'_>, screen: &Screen) -> Result<(), CommandError> {
    let print = |row: AuditRow| {
        screen.row(&row, |row| {
            let of = match (&row.purl, &row.release) {
                (Some(purl), _) => safe(purl.as_str()).into_owned(),
                (None, _) => format!("entry {}", row.entry),
            };
            if let Some(why) = &row.reason {
                return format!("UNREAD  {of}\n  {}: {}", safe(&row.field), safe(why));
            }
            format!(
                "SECRET  {of}\n  {}  {}\n  signed with  {}",
                safe(&row.field),
                safe(&row.text),
                safe(&row.secrets.join(", ")),
            )
        })
    };
    let done = session.ask_rows(Audit, Dial::Never, print).await?;
    screen.row(&done, audited)?;
    match (done.found, done.unread_entries) {
        (0, 0) => Ok(()),
        (0, unread) => Err(CommandError::NotAudited(unread)),
        (found, _) => Err(CommandError::Exposed(found)),
    }
}

fn audited(done: &AuditDone) -> String {
    let unread = match done.unread_lists {
        0 => String::new(),
        some => format!("; {} not here, and not read", count(some, "file list")),
    };
    let places = match done.found {
        0 => "no secrets".to_owned(),
        some => format!("{} with secrets", count(some, "place")),
    };
    format!("read {}: {places}{unread}", entries(done.entries))
}
