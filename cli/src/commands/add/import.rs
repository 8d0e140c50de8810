//! The request to import from an upstream, and how its rows are printed.

use std::env;

use perennial_control::{Environment, Import, ImportEvent, ImportSource};

use super::{AddArgs, added};
use crate::failure::CommandError;
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

pub(super) async fn run(
    args: AddArgs,
    source: ImportSource,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Import {
        source,
        license: args.license,
        kind: args.kind,
        notes: args.notes,
        again: args.again,
        allow_private: args.allow_private,
        plain_http: args.plain_http,
        environment: Some(environment()),
        tries: args.tries,
    };
    let print = |item| match item {
        ImportEvent::Published(row) => screen.row(&row, added),
        ImportEvent::Failed(row) => screen
            .row(&row, |row| format!("NOT ADDED  {}\n  {}", safe(&row.what), safe(&row.reason))),
        ImportEvent::Unchecked(row) => screen
            .row(&row, |row| format!("NOT CHECKED  {}\n  {}", safe(&row.what), safe(&row.reason))),
        ImportEvent::Completeness(row) => screen.row(&row, |row| {
            let all = row.held.len() + row.missing.len();
            let mut text =
                format!("{}: {} of {all} referenced images held", safe(&row.of), row.held.len());
            for missing in &row.missing {
                text += &format!("\n  missing  {}  {}", safe(&missing.what), safe(&missing.reason));
            }
            text
        }),
    };
    let done = session.ask_rows(request, Dial::AndWarn, print).await?;
    let already = match done.already {
        0 => String::new(),
        some => format!(", {some} already released"),
    };
    screen.status(format_args!(
        "{} added{already}, {}, {} of it new",
        count(done.releases, "release"),
        bytes(done.bytes),
        bytes(done.new_bytes)
    ));
    if done.failed > 0 {
        return Err(CommandError::Incomplete(done.failed));
    }
    if done.unchecked > 0 {
        return Err(CommandError::Unchecked(done.unchecked));
    }
    Ok(())
}

/// This command's environment, which decides even if a running node carries the import out.
fn environment() -> Environment {
    let user = rustix::process::geteuid().as_raw();
    Environment::of(env::vars_os(), user, env::current_dir().ok().as_deref())
}
