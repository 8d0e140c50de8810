//! The request to import from an upstream, and how its rows are printed.

use std::{env, io};

use perennial_control::{Environment, Failed, Import, ImportEvent, ImportSource};
use serde::Serialize;

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
        ImportEvent::Failed(row) => trouble(row, false, screen),
        ImportEvent::Unchecked(row) => trouble(row, true, screen),
        ImportEvent::Completeness(row) => screen.row(&row, |row| {
            let all = row.held_images.len() + row.missing_images.len();
            let held = row.held_images.len();
            let mut text = format!("{}: {held} of {all} referenced images held", safe(&row.of));
            for missing in &row.missing_images {
                text += &format!("\n  missing  {}  {}", safe(&missing.what), safe(&missing.reason));
            }
            text
        }),
    };
    let done = session.ask_rows(request, Dial::AndWarn, print).await?;
    if done.releases + done.already > 0 {
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
    }
    if done.failed > 0 {
        return Err(CommandError::Incomplete(done.failed));
    }
    if done.unchecked > 0 {
        return Err(CommandError::Unchecked(done.unchecked));
    }
    Ok(())
}

/// An item that could not be added, or could not be compared, for scripts.
#[derive(Serialize)]
struct Trouble {
    what: String,
    reason: String,
    added: bool,
}

fn trouble(row: Failed, added: bool, screen: &Screen) -> io::Result<()> {
    let row = Trouble { what: row.what, reason: row.reason, added };
    screen.row(&row, |row| {
        let verdict = if row.added { "NOT CHECKED" } else { "NOT ADDED" };
        format!("{verdict}  {}\n  {}", safe(&row.what), safe(&row.reason))
    })
}

/// This command's environment, which decides even if a running node carries the import out.
fn environment() -> Environment {
    let user = rustix::process::geteuid().as_raw();
    Environment::of(env::vars_os(), user, env::current_dir().ok().as_deref())
}
