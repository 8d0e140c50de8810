//! What may be typed. Help, manual pages and completions are all made from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    add, completions, drill, follow, follows, gc, get, key, ls, man, peers, pin, pins,
    rebuild_index, search, show, status, unfollow, unpin, verify,
};

const AFTER_HELP: &str = "\
Examples:
  perennial add ./kubekey-v3.1.0 --name kubekey --version v3.1.0 --license Apache-2.0
  perennial follow did:key:z6Mk… --as kubesphere-savers
  perennial get kubekey@v3.1.0 -o out/
  perennial drill ./kubekey-v3.1.0

Exit codes: 0 done, 1 failed, 2 usage, 3 not found or nobody reachable holds it, 4 verification failed or \
conflicting claims, 5 data directory in use or node unreachable.";

/// Keep open-source releases alive after their upstream pulls the plug.
///
/// Releases are signed statements about files named by BLAKE3. Nodes pass the statements on, keep the files of
/// the publishers they follow, repair each other, and give the files back. Each command asks the node that runs
/// on the data directory; where none runs, it is a node itself for as long as it takes.
#[derive(Debug, Parser)]
#[command(name = "perennial", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Data directory [default: $XDG_DATA_HOME/perennial or ~/.local/share/perennial]
    #[arg(long, global = true, value_name = "DIR", env = "PERENNIAL_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// Ask this peer as well (repeatable; comma separated in the variable)
    #[arg(
        long = "peer",
        global = true,
        value_name = "MULTIADDR",
        env = "PERENNIAL_PEERS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) peers: Vec<String>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log what an embedded node does (repeat for more)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(add::AddArgs),
    Get(get::GetArgs),
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    Search(search::SearchArgs),
    Follow(follow::FollowArgs),
    Unfollow(unfollow::UnfollowArgs),
    Follows(follows::FollowsArgs),
    Pin(pin::PinArgs),
    Unpin(unpin::UnpinArgs),
    Pins(pins::PinsArgs),
    Status(status::StatusArgs),
    Peers(peers::PeersArgs),
    Key(key::KeyArgs),
    Verify(verify::VerifyArgs),
    Gc(gc::GcArgs),
    RebuildIndex(rebuild_index::RebuildIndexArgs),
    Drill(drill::DrillArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_explained_with_examples() {
        let root = Cli::command();
        assert_eq!(root.get_subcommands().count(), 20);
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
            "perennial --data A --json ls --peer /ip4/1.2.3.4/tcp/1 --peer /ip4/1.2.3.5/tcp/1 -vv -q",
        );
        let global = cli.unwrap().global;
        assert_eq!(global.data, Some("A".into()));
        assert_eq!(global.peers, ["/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.5/tcp/1"]);
        assert!(global.json && global.quiet && global.verbose == 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "perennial",
            "perennial levitate",
            "perennial add",
            "perennial add x --purl pkg:generic/a@1 --name a",
            "perennial add x --purl pkg:generic/a@1 --kind stranger",
            "perennial get",
            "perennial gc --grace soon",
            "perennial follow",
            "perennial verify --sample 5",
            "perennial drill",
            "perennial ls --state lost",
            "perennial completions",
        ] {
            assert!(parse(line).is_err_and(|error| error.use_stderr()), "{line}");
        }
    }
}
