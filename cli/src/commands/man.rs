//! `perennial man`: manual pages, generated from the definition of the commands.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use perennial_node::daemon;

use crate::args::Cli;
use crate::failure::CommandError;
use crate::manual;
use crate::screen::Screen;

/// Write the manual pages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial man --out ~/.local/share/man/man1
  perennial man | man -l -")]
pub(crate) struct ManArgs {
    /// Directory to write a page per command to; without it the main page goes to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, screen: &Screen) -> Result<(), CommandError> {
    let mut main = Cli::command().disable_help_subcommand(true);
    main.build();
    let Some(out) = &args.out else {
        io::stdout().lock().write_all(&manual::page(&main)?)?;
        return Ok(());
    };
    let mut node = daemon::Arguments::command();
    node.build();
    let at =
        |path: PathBuf| move |source| CommandError::Io { what: path.display().to_string(), source };
    fs::create_dir_all(out).map_err(at(out.clone()))?;
    for command in main.get_subcommands().chain([&main, &node]) {
        let path = out.join(format!("{}.1", name(command)));
        fs::write(&path, manual::page(command)?).map_err(at(path))?;
    }
    screen.status(format_args!("wrote the manual pages to {}", out.display()));
    Ok(())
}

/// `perennial-add` for `perennial add`.
fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-")
}
