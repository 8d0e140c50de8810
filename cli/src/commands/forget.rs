//! `perennial forget`: drop what is known of a publisher.

use clap::Args;
use perennial_control::{Forget, ForgetDone};
use perennial_manifest::PublisherRef;

use crate::failure::CommandError;
use crate::quantity::count;
use crate::screen::{Screen, safe};
use crate::session::Session;

/// Drop what is known of a publisher that is not followed
///
/// Its releases are no longer listed or passed on, except those that are pinned and the ones signed
/// before them. `perennial gc` removes the bytes. Peers may send its statements again: this node
/// keeps a limited number of all publishers that it does not follow.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial forget did:key:z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd")]
pub(crate) struct ForgetArgs {
    /// Publisher (its DID)
    #[arg(value_name = "DID")]
    publisher: PublisherRef,
}

pub(crate) async fn run(
    args: ForgetArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let done = session.ask(Forget { publisher: args.publisher }).await?;
    screen.row(&done, line)?;
    Ok(())
}

fn line(done: &ForgetDone) -> String {
    let publisher = done.publisher.to_string();
    let dropped = format!("dropped {} of {}", statements(done.entries), safe(&publisher));
    match done.kept {
        0 => dropped,
        kept => format!("{dropped}; pins keep {}", statements(kept)),
    }
}

fn statements(n: u64) -> String {
    count(n, "statement")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_went_and_what_pins_keep() {
        let publisher = perennial_manifest::Keypair::from_seed([7; 32]).id();
        let done = ForgetDone { publisher, entries: 1, kept: 0 };
        assert_eq!(line(&done), format!("dropped 1 statement of {publisher}"));
        let done = ForgetDone { entries: 1200, kept: 3, ..done };
        assert!(line(&done).ends_with("; pins keep 3 statements"), "{}", line(&done));
        assert!(line(&done).starts_with("dropped 1,200 statements"));
    }
}
