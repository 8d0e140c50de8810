//! `perennial completions`: shell completions, generated from the definition of the commands.

use std::io::{self, Write};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;
use perennial_node::daemon;

use crate::args::Cli;
use crate::failure::CommandError;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial completions bash > ~/.local/share/bash-completion/completions/perennial
  perennial completions zsh > ~/.zfunc/_perennial
  perennial completions fish > ~/.config/fish/completions/perennial.fish
  perennial completions zsh --program perennial-node > ~/.zfunc/_perennial-node")]
pub(crate) struct CompletionsArgs {
    /// Shell to print completions for
    #[arg(value_enum)]
    shell: Shell,
    /// Program to complete
    #[arg(long, value_enum, default_value = "perennial")]
    program: Program,
}

/// A program of this project.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    Perennial,
    PerennialNode,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CommandError> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    let (mut command, name) = match args.program {
        Program::Perennial => (Cli::command(), "perennial"),
        Program::PerennialNode => (daemon::Arguments::command(), "perennial-node"),
    };
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}
