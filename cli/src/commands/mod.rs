//! One file a subcommand: what may be typed, what is asked, how the answer is printed.

pub(crate) mod add;
pub(crate) mod completions;
pub(crate) mod drill;
pub(crate) mod follow;
pub(crate) mod follows;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod peers;
pub(crate) mod pin;
pub(crate) mod pins;
pub(crate) mod rebuild_index;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod unfollow;
pub(crate) mod unpin;
pub(crate) mod verify;

use std::str::FromStr;

use perennial_control::Target;
use perennial_manifest::{PublisherId, Selector};

use crate::args::{Cli, Command};
use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::Screen;

/// Runs what was typed.
pub(crate) async fn run(cli: Cli, screen: &Screen) -> Result<(), CommandError> {
    match cli.command {
        // these need no data directory
        Command::Drill(args) => return drill::run(args, screen).await,
        Command::Completions(args) => return completions::run(&args),
        Command::Man(args) => return man::run(&args, screen),
        _ => {}
    }
    let link = Link::new(&cli.global, screen)?;
    match cli.command {
        Command::Add(args) => add::run(args, &link, screen).await,
        Command::Get(args) => get::run(args, &link, screen).await,
        Command::Ls(args) => ls::run(args, &link, screen).await,
        Command::Show(args) => show::run(args, &link, screen).await,
        Command::Search(args) => search::run(args, &link, screen).await,
        Command::Follow(args) => follow::run(args, &link, screen).await,
        Command::Unfollow(args) => unfollow::run(args, &link, screen).await,
        Command::Follows(_) => follows::run(&link, screen).await,
        Command::Pin(args) => pin::run(args, &link, screen).await,
        Command::Unpin(args) => unpin::run(args, &link, screen).await,
        Command::Pins(_) => pins::run(&link, screen).await,
        Command::Status(_) => status::run(&link, screen).await,
        Command::Peers(_) => peers::run(&link, screen).await,
        Command::Key(args) => key::run(args, &link, screen).await,
        Command::Verify(_) => verify::run(&link, screen).await,
        Command::Gc(args) => gc::run(args, &link, screen).await,
        Command::RebuildIndex(_) => rebuild_index::run(&link, screen).await,
        Command::Drill(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
    }
}

/// For clap: what a user may name.
fn selector(text: &str) -> Result<String, String> {
    Selector::from_str(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// For clap: a publisher, by its key or by the name that a follow gave it.
fn publisher(text: &str) -> Result<String, String> {
    if text.starts_with("did:") {
        PublisherId::from_str(text).map(|id| id.to_string()).map_err(|error| error.to_string())
    } else {
        follow_name(text)
    }
}

/// For clap: a publisher to begin to follow, or all of them.
fn did_or_all(text: &str) -> Result<Target, String> {
    match text {
        "all" => Ok(Target::All),
        _ => PublisherId::from_str(text)
            .map(|id| Target::Publisher(id.to_string()))
            .map_err(|error| format!("{error}; write did:key:z6Mk… or all")),
    }
}

/// For clap: what a user calls a publisher.
fn follow_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 64 && text != "all" && !text.starts_with("did:");
    if fits && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 64 bytes, no spaces, and is neither `all` nor a did".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd";

    #[test]
    fn publishers_are_dids_names_or_all() {
        assert_eq!(did_or_all("all"), Ok(Target::All));
        let id = perennial_manifest::Keypair::from_seed([7; 32]).id().to_string();
        assert_eq!(did_or_all(&id), Ok(Target::Publisher(id.clone())));
        assert_eq!(publisher(&id), Ok(id));
        assert_eq!(publisher("kubesphere-savers"), Ok("kubesphere-savers".into()));
        for wrong in
            ["", "did:key:z6Mk", "did:web:example.org", &DID[..DID.len() - 1], "two words", "all"]
        {
            assert!(publisher(wrong).is_err(), "{wrong}");
        }
        assert!(did_or_all("kubesphere-savers").is_err());
    }

    #[test]
    fn selectors_are_checked_before_anything_is_asked() {
        for right in [
            "kubekey@v3.1.0",
            "kubekey",
            "pkg:generic/kubekey@v3.1.0",
            &"ab".repeat(32),
            "0123abcd",
        ] {
            assert!(selector(right).is_ok(), "{right}");
        }
        for wrong in ["", "blake3:xyz", "sha256:00", "pkg:"] {
            assert!(selector(wrong).is_err(), "{wrong}");
        }
    }
}
