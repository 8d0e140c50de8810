//! The `perennial` command: sends requests to a node and prints the answers.
//!
//! Owns the terminal and the exit code, and nothing else: requests go through `perennial-control`
//! to the node that runs on the data directory, or to one embedded for the duration of the command.
//! Results go to standard output, everything else to standard error. Text that others signed is
//! escaped before it is printed.

mod args;
mod commands;
mod failure;
mod fields;
mod global;
mod manual;
mod name;
mod paths;
mod progress;
mod quantity;
mod screen;
mod session;
mod table;

use std::path::Path;
use std::process::ExitCode;

use perennial_node::daemon;

use crate::args::Command;
use crate::failure::CommandError;
use crate::screen::Screen;

fn main() -> ExitCode {
    // The container image holds one executable for both programs, under two names.
    if std::env::args_os().next().is_some_and(|name| Path::new(&name).ends_with("perennial-node")) {
        return daemon::main();
    }
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version arrive here, too; a closed pipe is not a failure.
            if !error.use_stderr() || !std::env::args_os().any(|argument| argument == "--json") {
                let _ = error.print();
                return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
            }
            let error = CommandError::from(error);
            return ExitCode::from(error.report(&Screen::new(true, false)));
        }
    };
    let screen = Screen::new(cli.global.json, cli.global.quiet);
    if screen.json && matches!(cli.command, Command::Completions(_) | Command::Man(_)) {
        let error = CommandError::usage("this command prints no JSON", "leave out --json");
        return ExitCode::from(error.report(&screen));
    }
    if let Command::Serve(arguments) = cli.command {
        if screen.json || screen.quiet || cli.global.verbose > 0 {
            let error = CommandError::usage(
                "--json, --quiet and --verbose have no effect on a node",
                "--log FILTER chooses what it logs",
            );
            return ExitCode::from(error.report(&screen));
        }
        return daemon::run(*arguments, "perennial serve");
    }
    log_to_stderr(cli.global.verbose);
    perennial_node::log_index_panics();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| CommandError::Io { what: "cannot start".into(), source })
        .and_then(|runtime| {
            let result = runtime.block_on(commands::run(cli, &screen));
            // Cancelled blocking work is not awaited: it can stop safely at any point.
            match &result {
                // It ends with the process, at once. Under a runtime that shuts down, a thread that
                // reads a stream would panic.
                Err(CommandError::Interrupted { .. }) => std::mem::forget(runtime),
                _ => runtime.shutdown_timeout(std::time::Duration::from_secs(1)),
            }
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.report(&screen)),
    }
}

/// Sends the log of an embedded node to standard error: none by default, more with each `-v`.
fn log_to_stderr(verbose: u8) {
    let filter = match verbose {
        0 => "off",
        1 => "warn,perennial_node=info,perennial_swarm=info,perennial_store=info",
        2 => "info,perennial_node=debug,perennial_swarm=debug,perennial_store=debug",
        _ => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(daemon::coloured())
        .with_writer(std::io::stderr)
        .init();
}
