//! `perennial completions`: shell completions, generated from the definition of the commands.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::CommandError;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial completions bash > ~/.local/share/bash-completion/completions/perennial
  perennial completions zsh > ~/.zfunc/_perennial
  perennial completions fish > ~/.config/fish/completions/perennial.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CommandError> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "perennial", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}
