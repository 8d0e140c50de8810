//! One file per subcommand: its arguments, its request, and how its answer is printed.

pub(crate) mod add;
pub(crate) mod completions;
pub(crate) mod denied;
pub(crate) mod deny;
pub(crate) mod drill;
pub(crate) mod follow;
pub(crate) mod follows;
pub(crate) mod forget;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod peers;
pub(crate) mod pin;
pub(crate) mod pins;
pub(crate) mod rebuild_index;
pub(crate) mod relocate;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod trust;
pub(crate) mod undeny;
pub(crate) mod unfollow;
pub(crate) mod unpin;
pub(crate) mod verify;
pub(crate) mod version;

use crate::args::{Cli, Command};
use crate::failure::CommandError;
use crate::screen::Screen;
use crate::session::{Making, Session};

/// Runs a command line.
pub(crate) async fn run(cli: Cli, screen: &Screen) -> Result<(), CommandError> {
    // Reading makes no archive, so that a mistyped path is noticed. The first commands need no data
    // directory, and so no session.
    let reading = || Session::new(&cli.global, screen, Making::Never);
    let keeping = || Session::new(&cli.global, screen, Making::WithPeers);
    let beginning = || Session::new(&cli.global, screen, Making::Always);
    match cli.command {
        Command::Drill(args) => drill::run(args, screen).await,
        Command::Completions(args) => completions::run(&args),
        // `main` runs the node before a runtime is there.
        Command::Serve(_) => Ok(()),
        Command::Man(args) => man::run(&args, screen),
        Command::Version(_) => version::run(screen),
        Command::Add(args) => {
            add::run(args, &beginning()?, screen).await.map_err(CommandError::of_resumable)
        }
        Command::Get(args) => {
            get::run(args, &keeping()?, screen).await.map_err(CommandError::of_resumable)
        }
        Command::Ls(args) => ls::run(args, &reading()?, screen).await,
        Command::Show(args) => show::run(args, &reading()?, screen).await,
        Command::Search(args) => search::run(args, &reading()?, screen).await,
        Command::Follow(args) => follow::run(args, &beginning()?, screen).await,
        Command::Trust(args) => trust::run(args, &beginning()?, screen).await,
        Command::Unfollow(args) => unfollow::run(args, &reading()?, screen).await,
        Command::Forget(args) => forget::run(args, &reading()?, screen).await,
        Command::Follows(_) => follows::run(&reading()?, screen).await,
        Command::Pin(args) => pin::run(args, &keeping()?, screen).await,
        Command::Unpin(args) => unpin::run(args, &reading()?, screen).await,
        Command::Pins(_) => pins::run(&reading()?, screen).await,
        Command::Deny(args) => deny::run(args, &beginning()?, screen).await,
        Command::Undeny(args) => undeny::run(args, &reading()?, screen).await,
        Command::Denied(_) => denied::run(&reading()?, screen).await,
        Command::Status(_) => status::run(&reading()?, screen).await,
        Command::Peers(_) => peers::run(&reading()?, screen).await,
        Command::Key(args) => {
            let session = if args.begins() { beginning()? } else { reading()? };
            key::run(args, &session, screen).await
        }
        Command::Verify(_) => verify::run(&reading()?, screen).await,
        Command::Gc(args) => gc::run(args, &reading()?, screen).await,
        Command::Relocate(args) => relocate::run(args, &reading()?, screen).await,
        Command::RebuildIndex(_) => rebuild_index::run(&reading()?, screen).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn accepts(args: &[&str]) -> bool {
        Cli::try_parse_from([&["perennial"], args].concat()).is_ok()
    }

    #[test]
    fn publishers_are_dids_names_or_all() {
        let id = perennial_manifest::Keypair::from_seed([7; 32]).id().to_string();
        for right in ["all", id.as_str(), "kubesphere-savers"] {
            assert!(accepts(&["unfollow", right]), "{right}");
        }
        assert!(accepts(&["follow", "all"]) && accepts(&["follow", &id, "--as", "me"]));
        assert!(
            !accepts(&["follow", "kubesphere-savers"]),
            "a name is known only once it is followed"
        );
        let long = "n".repeat(65);
        for wrong in
            ["", "did:key:z6Mk", "did:web:example.org", &id[..id.len() - 1], "two words", &long]
        {
            assert!(!accepts(&["unfollow", wrong]), "{wrong}");
            assert!(!accepts(&["ls", "--publisher", wrong]), "{wrong}");
            assert!(!accepts(&["follow", &id, "--as", wrong]), "{wrong}");
        }
        assert!(
            !accepts(&["ls", "--publisher", "all"]) && !accepts(&["follow", &id, "--as", "all"])
        );
    }

    #[test]
    fn selectors_are_checked_before_any_request() {
        for right in [
            "kubekey@v3.1.0",
            "kubekey",
            "pkg:generic/kubekey@v3.1.0",
            &"ab".repeat(32),
            "0123abcd",
        ] {
            assert!(accepts(&["get", right]), "{right}");
        }
        for wrong in ["", "blake3:xyz", "sha256:00", "pkg:"] {
            assert!(!accepts(&["get", wrong]), "{wrong}");
        }
    }
}
