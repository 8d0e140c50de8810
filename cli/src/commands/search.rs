//! `perennial search`: releases by parts of their names, by their files, and by digest.

use clap::Args;
use perennial_control::Search;

use super::ls::{NoRow, list_releases};
use crate::failure::CommandError;
use crate::screen::Screen;
use crate::session::{Dial, Session};

/// Find releases by parts of their names, by the names of their files, or by a digest
///
/// Names include the registry, the repository and the version; a file is found by its name, or by
/// the end of its path, such as deploy/kube.yaml. Searches what this node knows, and
/// asks the connected peers: `peers` is what only they know. The publisher is shown with each
/// release, because a name alone proves nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial search kubekey
  perennial search quay.io/minio
  perennial search kk-linux-amd64.tar.gz --peer 192.0.2.7:4407
  perennial search kubesphere console --limit 20 --json")]
pub(crate) struct SearchArgs {
    /// Words that must all occur, or a digest
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// List at most this many
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    limit: u32,
}

pub(crate) async fn run(
    args: SearchArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Search { text: args.words.join(" "), limit: args.limit };
    let none = NoRow::Failure(CommandError::NoMatch {
        message: format!(
            "no release known here or to connected peers matches {}",
            args.words.join(" ")
        ),
        hint: "connect to a node that may know more with --peer HOST:PORT (or PERENNIAL_PEERS)"
            .into(),
    });
    list_releases(request, Dial::AndWait, session, screen, none).await
}
