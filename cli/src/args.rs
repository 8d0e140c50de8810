//! The command-line grammar. Help, manual pages and completions are all generated from it.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use perennial_node::daemon;

use crate::commands::{
    add, completions, denied, deny, drill, follow, follows, forget, gc, get, key, ls, man, peers,
    pin, pins, rebuild_index, relocate, search, show, status, trust, undeny, unfollow, unpin,
    verify, version,
};
use crate::failure::EXIT_CODES;
use crate::global::Global;

macro_rules! examples {
    () => {
        "\
Examples:
  perennial add ./kubekey-v3.1.0 --name kubekey --version v3.1.0 --license Apache-2.0
  perennial follow did:key:z6Mk… --as kubesphere-savers
  perennial get kubekey@v3.1.0 -o out/
  perennial drill ./kubekey-v3.1.0
"
    };
}

const AFTER_HELP: &str =
    concat!(examples!(), "\nMore options, words and exit codes: perennial --help");

const WORDS: &str = "\
Words:
  archivist  A publisher that saved a copy; `upstream` is the project itself
  blob       The bytes of one file, named by their BLAKE3 digest: blake3:…
  DID        The id of a publisher's key: did:key:z6Mk…
  entry      A statement that a publisher signed, such as that a release has these files
  follow     Keep the releases of a publisher, and trust it for names; `trust` keeps none
  held       All files of a release are here; partial: some; known: only its entry
  list       The list of a release's files, itself a blob, which the entry names
  peer       Another node, named by HOST:PORT or its multiaddress, /ip4/192.0.2.7/tcp/4407
  pin        Keep one release or blob, of any publisher
  purl       A package URL: pkg:generic/kubekey@v3.1.0
";

/// The end of `--help`, after the options.
fn after_long_help() -> String {
    let codes = EXIT_CODES.map(|(code, meaning)| format!("  {code:<3}  {meaning}\n")).concat();
    format!("{}\n{WORDS}\nExit codes:\n{codes}", examples!())
}

/// Keep open-source releases alive after their upstream pulls the plug.
///
/// A release is a signed entry that names its files by BLAKE3 digest. Nodes exchange entries, keep
/// the files of the publishers they follow, repair each other's copies and serve the files to
/// others. Each command asks the node that runs on the data directory; when none runs, the command
/// starts one and stops it when it is done.
#[derive(Debug, Parser)]
#[command(
    name = "perennial",
    version,
    max_term_width = 100,
    after_help = AFTER_HELP,
    after_long_help = after_long_help()
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(add::AddArgs),
    #[command(visible_alias = "fetch")]
    Get(get::GetArgs),
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    #[command(visible_alias = "info")]
    Show(show::ShowArgs),
    Search(search::SearchArgs),
    Follow(follow::FollowArgs),
    Trust(trust::TrustArgs),
    Unfollow(unfollow::UnfollowArgs),
    Follows(follows::FollowsArgs),
    Forget(forget::ForgetArgs),
    Pin(pin::PinArgs),
    Unpin(unpin::UnpinArgs),
    Pins(pins::PinsArgs),
    Deny(deny::DenyArgs),
    Undeny(undeny::UndenyArgs),
    Denied(denied::DeniedArgs),
    Serve(Box<daemon::Arguments>),
    Status(status::StatusArgs),
    Peers(peers::PeersArgs),
    Key(key::KeyArgs),
    Verify(verify::VerifyArgs),
    Gc(gc::GcArgs),
    Relocate(relocate::RelocateArgs),
    RebuildIndex(rebuild_index::RebuildIndexArgs),
    Drill(drill::DrillArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Version(version::VersionArgs),
}

/// Parses a command line. In the help of a subcommand, the options of all commands take one line.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    // From here on the subcommands have the global options.
    command.build();
    let mut command = command.mut_subcommands(brief);
    let mut matches = command.try_get_matches_from_mut(line)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// A subcommand whose help names the global options without explaining them.
fn brief(command: clap::Command) -> clap::Command {
    // The node refuses the few that it does not define itself; `help` has none.
    let named = !matches!(command.get_name(), "serve" | "help");
    let globals = command.get_arguments().filter(|argument| argument.is_global_set());
    let names: Vec<String> = globals
        .filter(|argument| !argument.is_hide_short_help_set())
        .filter_map(|argument| {
            let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
            let value = value.and_then(|names| names.first()).map(|name| format!(" {name}"));
            Some(format!("--{}{}", argument.get_long()?, value.unwrap_or_default()))
        })
        .collect();
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let line = "Options of all commands, explained by `perennial --help`:";
    let command = command
        .mut_args(|argument| if argument.is_global_set() { argument.hide(true) } else { argument });
    if named && !names.is_empty() {
        command.after_help(format!("{line}\n  {}\n\n{examples}", names.join("  ")))
    } else {
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        super::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_explained_with_examples() {
        let root = Cli::command();
        assert_eq!(root.get_subcommands().count(), 28);
        for command in root.get_subcommands() {
            let name = command.get_name();
            assert!(
                command.get_about().is_some_and(|about| about.to_string().len() > 10),
                "{name}: about"
            );
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Examples:\n  perennial "), "{name}: examples");
            assert!(after.contains(name), "{name}: its own examples");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
            }
        }
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli = parse(
            "perennial --data A --json ls --peer /ip4/1.2.3.4/tcp/1 --peer /ip4/1.2.3.5/tcp/1 -vv \
            -q",
        );
        let global = cli.unwrap().global;
        assert_eq!(global.data, Some("A".into()));
        assert_eq!(global.peers, ["/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.5/tcp/1"]);
        assert!(global.json && global.quiet && global.verbose == 2);
    }

    #[test]
    fn the_help_of_a_command_names_the_global_options_in_one_line() {
        for line in ["perennial ls --help", "perennial ls -h", "perennial help ls"] {
            let help = parse(line).unwrap_err().to_string();
            assert!(help.contains("\n  --data DIR  --peer HOST:PORT  --json\n"), "{help}");
            assert!(!help.contains("Global options") && !help.contains("PERENNIAL_"), "{help}");
        }
        let root = parse("perennial --help").unwrap_err().to_string();
        assert!(root.contains("Global options") && root.contains("PERENNIAL_KEYS"), "{root}");
    }

    #[test]
    fn serve_takes_the_options_of_the_node_and_the_common_ones_anywhere() {
        for line in [
            "perennial --data A --peer /ip4/1.2.3.4/tcp/1 serve --http off --existing",
            "perennial serve --data A --peer /ip4/1.2.3.4/tcp/1 --http off --existing",
        ] {
            let Command::Serve(arguments) = parse(line).unwrap().command else { panic!("{line}") };
            let settings = format!("{arguments:?}");
            assert!(settings.contains(r#"data: Some("A")"#), "{settings}");
            assert!(settings.contains(r#"peer: ["/ip4/1.2.3.4/tcp/1"]"#), "{settings}");
            assert!(settings.contains("existing: true"), "{settings}");
        }
    }

    #[test]
    fn nonsensical_options_are_refused() {
        for line in [
            "perennial",
            "perennial levitate",
            "perennial add",
            "perennial add x --purl pkg:generic/a@1 --name a",
            "perennial add x --purl pkg:generic/a@1 --kind stranger",
            "perennial get",
            "perennial gc --grace soon",
            "perennial follow",
            "perennial trust all",
            "perennial verify --sample 5",
            "perennial drill",
            "perennial ls --state lost",
            "perennial ls --limit 0",
            "perennial search x --limit 0",
            "perennial completions",
        ] {
            assert!(parse(line).is_err_and(|error| error.use_stderr()), "{line}");
        }
    }
}
