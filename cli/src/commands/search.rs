//! `perennial search`: known releases by words.

use clap::Args;
use perennial_control::Request;

use super::ls::list_releases;
use crate::failure::CommandError;
use crate::link::Link;
use crate::screen::Screen;

/// Find releases by words in their names
///
/// Searches the statements that this node knows. Who signed what is shown, because a name alone proves nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial search kubekey
  perennial search kubesphere console --limit 20 --json")]
pub(crate) struct SearchArgs {
    /// Words that must all occur
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

pub(crate) async fn run(
    args: SearchArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Search { text: args.words.join(" "), limit: args.limit };
    list_releases(request, link, screen, "nothing known here matches").await
}
