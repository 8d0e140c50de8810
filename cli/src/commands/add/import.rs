//! The request to import from an upstream, and how its rows are printed.

use std::time::Duration;
use std::{env, io};

use perennial_control::{
    Completeness, Environment, ErrorKind, Failed, Import, ImportEvent, ImportSource, ImportSummary,
};
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
        keep_query: args.keep_query,
        allow_private: args.allow_private,
        plain_http: args.plain_http,
        environment: Some(environment()),
        tries: args.tries,
    };
    let mut kinds = Kinds::default();
    let print = |item| match item {
        ImportEvent::Published(row) => {
            screen.row(&row, added)?;
            for remark in &row.remarks {
                screen.status(format_args!("note: {}", safe(remark)));
            }
            Ok(())
        }
        ImportEvent::Failed(row) => {
            kinds.add(&row);
            trouble(row, false, screen)
        }
        ImportEvent::Unchecked(row) => trouble(row, true, screen),
        ImportEvent::Retrying(row) => {
            let wait = Duration::from_millis(row.wait_ms);
            screen.status(format_args!("{}; trying again in {wait:?}", safe(&row.reason)));
            Ok(())
        }
        ImportEvent::Completeness(row) => {
            row.missing_images.iter().for_each(|missing| kinds.add(missing));
            screen.row(&row, completeness)
        }
    };
    let came = |done: &ImportSummary| done.releases + done.already > 0;
    let done = session.converse(request, Dial::AndWarn, print, came).await?.answer;
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
        return Err(CommandError::Incomplete { items: done.failed, kind: kinds.of_all(&done) });
    }
    if done.unchecked > 0 {
        return Err(CommandError::Unchecked(done.unchecked));
    }
    Ok(())
}

/// How many of a chart's images are held, and the others.
fn completeness(row: &Completeness) -> String {
    let (held, missing) = (row.held_images.len(), &row.missing_images);
    let all = held + missing.len();
    let mut text = format!("{}: {held} of {all} referenced images held", safe(&row.of));
    for missing in missing {
        text += &format!("\n  missing  {}  {}", safe(&missing.what), safe(&missing.reason));
    }
    text
}

/// The kinds of the failures of one command.
#[derive(Debug, Default)]
struct Kinds {
    first: Option<ErrorKind>,
    differ: bool,
    /// Something did not match its digest.
    disproved: bool,
}

impl Kinds {
    fn add(&mut self, failed: &Failed) {
        let first = *self.first.get_or_insert(failed.kind);
        self.differ |= first != failed.kind;
        self.disproved |= failed.kind == ErrorKind::Verification;
    }

    /// The kind of the whole: wrong bytes count wherever they are; any other kind only if all that
    /// was asked for failed in that way.
    fn of_all(&self, done: &ImportSummary) -> ErrorKind {
        let nothing_came = done.releases + done.already == 0;
        match self.first {
            _ if self.disproved => ErrorKind::Verification,
            Some(kind) if nothing_came && !self.differ => kind,
            _ => ErrorKind::Failed,
        }
    }
}

/// An item that could not be added, or could not be compared, for scripts.
#[derive(Serialize)]
struct Trouble {
    what: String,
    reason: String,
    kind: ErrorKind,
    added: bool,
}

fn trouble(row: Failed, added: bool, screen: &Screen) -> io::Result<()> {
    let Failed { what, reason, kind } = row;
    let row = Trouble { what, reason, kind, added };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_all_failures_is_the_one_they_share_unless_something_came() {
        use ErrorKind::{Failed as Other, NotFound, Usage, Verification};
        for (kinds, came, expected) in [
            (&[NotFound][..], 0, NotFound),
            (&[NotFound, NotFound], 0, NotFound),
            (&[NotFound, Other], 0, Other),
            (&[NotFound], 1, Other),
            (&[Usage], 0, Usage),
            (&[Usage], 3, Other),
            (&[NotFound, Verification], 1, Verification),
            (&[], 1, Other),
        ] {
            let mut all = Kinds::default();
            kinds.iter().for_each(|kind| all.add(&Failed::new("x", "y").of(*kind)));
            let done = ImportSummary { releases: came, ..ImportSummary::default() };
            assert_eq!(all.of_all(&done), expected, "{kinds:?}, {came}");
        }
    }
}
