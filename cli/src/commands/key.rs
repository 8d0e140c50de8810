//! `perennial key`: the publisher key of this data directory.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use perennial_control::{Audit, AuditDone, AuditRow, Key, KeyRow, Merge, NewFeed, Rotate};
use perennial_node::StartError;
use perennial_node::keys::Keys;

use crate::failure::CommandError;
use crate::paths::absolute;
use crate::quantity::{count, entries};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// Show, copy or replace the publisher key that this node signs with (created on first use)
///
/// The publisher is the key's DID (did:key:…): give it to people who should follow you. Keep a copy
/// of the key file (`key backup`), but never sign with it on two machines: that forks your feed
/// (the chain of entries you signed), and every node sees it.
///
/// If others may have the key, `key rotate` hands your feed over to a new one, signed by both.
/// Nodes that follow you go on to the new key by themselves. The old key can sign nothing more.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  perennial key
  perennial key --did                only the DID, as `follow` takes it
  perennial key --audit              find secrets in what you signed: exit code 4 if there are any
  perennial key backup ~/usb/publisher.key
  perennial key restore ~/usb/publisher.key
  perennial key rotate
  perennial key --merge              after a fork: declare all branches yours"
)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    action: Option<KeyAction>,
    /// Print only the DID, for scripts
    #[arg(long)]
    did: bool,
    /// Look for secrets in everything signed with this key and those before it: passwords, tokens
    /// and signatures in URLs
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
        let of_an_archive =
            matches!(self.action, Some(KeyAction::Backup { .. } | KeyAction::Rotate));
        !self.audit && !of_an_archive
    }
}

/// What to do with the key.
#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Show the key, as without a subcommand
    Show,
    /// Write a copy of the key, which only you may read, and which has no passphrase
    ///
    /// Overwrites nothing. `ssh-keygen -p -f FILE` gives the copy a passphrase, and takes it off.
    Backup {
        /// The copy to write
        file: PathBuf,
    },
    /// Take a copy of the key into a data directory that has none
    ///
    /// Overwrites nothing. The key may have signed elsewhere: before this node signs with it, it
    /// asks its peers (--peer) for the entries.
    Restore {
        /// The copy to take in
        file: PathBuf,
    },
    /// Hand your feed over to a new key, signed by both, and sign with that from now on
    ///
    /// Nodes that follow you go on to the new key by themselves once they have the entry, and their
    /// owners are told. The old key is kept aside. Give --peer if no node runs here.
    Rotate,
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
    let row = match args.action {
        None | Some(KeyAction::Show) => session.ask(Key).await?,
        Some(KeyAction::Rotate) => session.ask_rows(Rotate, Dial::AndWarn, |_| Ok(())).await?,
        Some(KeyAction::Backup { file }) => {
            let file = absolute(&file)?;
            let row = session.ask(Key).await?;
            if !backup(Path::new(&row.file), &file, session)? {
                screen.status(format_args!(
                    "others can read {}, whose file system keeps no modes: keep it where only you \
                     can get at it",
                    safe(&file.display().to_string())
                ));
            }
            KeyRow { backup: Some(file.display().to_string()), ..row }
        }
        Some(KeyAction::Restore { file }) => {
            let file = absolute(&file)?;
            session.restore_key(&file)?;
            let row = session.ask(Key).await?;
            KeyRow { backup: Some(file.display().to_string()), ..row }
        }
    };
    screen.row(&row, |row| match args.did {
        true => row.publisher.to_string(),
        false => text(row),
    })?;
    if row.previous.is_some() {
        screen.status(format_args!(
            "followers go on to the new key once they have the entry; tell them its DID, too. Keep \
             a copy of it: `perennial key backup FILE`"
        ));
    }
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

/// Copies the key at `from`. Returns whether the copy is private.
fn backup(from: &Path, to: &Path, session: &Session<'_>) -> Result<bool, CommandError> {
    let folder = from.parent().unwrap_or(Path::new(".")).to_owned();
    let keys = Keys::in_folder(folder, session.group_keys());
    Ok(keys.backup(to).map_err(StartError::from)?)
}

fn text(row: &KeyRow) -> String {
    let mut lines = vec![
        format!("publisher  {}", row.publisher),
        format!("kind       {}", row.kind),
        format!("signed     {}", entries(row.entries)),
        format!("file       {}", safe(&row.file)),
    ];
    if let (Some(previous), Some(file)) = (&row.previous, &row.previous_file) {
        lines.push(format!("before     {previous}"));
        lines.push(format!("kept at    {}", safe(file)));
    }
    if let Some(backup) = &row.backup {
        lines.push(format!("copy       {} (no passphrase)", safe(backup)));
    }
    if row.forked {
        lines.push(
            "FORKED     two histories were signed with this key: find out where else it is used, \
             then run `perennial key --merge`"
                .to_owned(),
        );
    }
    lines.join("\n")
}
