//! `perennial man`: manual pages, generated from the definition of the commands.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::failure::CommandError;
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
    let Some(out) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        io::stdout().lock().write_all(&page)?;
        return Ok(());
    };
    let failed = |source| CommandError::Io { what: out.display().to_string(), source };
    fs::create_dir_all(out).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), out).map_err(failed)?;
    screen.status(format_args!("wrote the manual pages to {}", out.display()));
    Ok(())
}
