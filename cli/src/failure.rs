//! All failures of a command, with their exit codes and hints. Exit codes are assigned only here.

mod report;

use std::io;
use std::path::PathBuf;

use perennial_control::{CallError, ConnectError, ErrorKind, Failure, FrameError};
use perennial_node::StartError;

use crate::quantity::count;

/// A disk, a file or an upstream failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is invalid, names a file that does not exist, or can mean several releases.
pub(crate) const USAGE: u8 = 2;
/// No such release, pin, publisher or archive, or no reachable peer holds it.
pub(crate) const NOT_FOUND: u8 = 3;
/// Bytes do not match their digest, held content is lost, or claims conflict.
pub(crate) const DISPROVED: u8 = 4;
/// The data directory is in use, no node runs there, or no peer could be reached.
pub(crate) const UNAVAILABLE: u8 = 5;
/// SIGINT or SIGTERM ended the command.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit codes and their meanings, for the help and the manual.
pub(crate) const EXIT_CODES: [(u8, &str); 7] = [
    (0, "done"),
    (FAILED, "failed: a disk, a file or an upstream"),
    (USAGE, "wrong usage: an invalid option, a file that does not exist, an ambiguous name"),
    (NOT_FOUND, "not found: no such release, pin, publisher or archive, or no peer holds it"),
    (DISPROVED, "verification failed, held content is lost, or claims conflict"),
    (UNAVAILABLE, "data directory in use, no node runs there, or no peer could be reached"),
    (INTERRUPTED, "interrupted by SIGINT or SIGTERM"),
];

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The node refused the request or could not carry it out.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// The command line is invalid.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// The running node cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A node could not be started on the data directory.
    #[error("{0}")]
    Start(#[from] StartError),
    /// Another process has locked the data directory and does not answer.
    #[error("{} is in use by process {pid}, which does not answer", data.display())]
    InUse { data: PathBuf, pid: u32 },
    /// No node runs on the data directory until it is stopped.
    #[error("no node runs on {}", .0.display())]
    NoNode(PathBuf),
    /// No release matches.
    #[error("{message}")]
    NoMatch { message: String, hint: String },
    /// The node closed the connection early.
    #[error("the node closed the connection before it answered")]
    Lost,
    /// A frame could not be exchanged with the node.
    #[error(transparent)]
    Frame(FrameError),
    /// Stored objects do not match their names, or are not there.
    #[error("{}", corrupt_text(*.corrupt, *.lost))]
    Corrupt { corrupt: u64, lost: u64 },
    /// Signed statements have secrets in them.
    #[error("{} signed with your key", exposed_text(*.0))]
    Exposed(u64),
    /// Signed statements could not be searched for secrets.
    #[error("{} not be read, and may have secrets", unaudited_text(*.0))]
    NotAudited(u64),
    /// The disk did not give stored objects.
    #[error("{0} could not be read")]
    Unread(String),
    /// Some sources of an `add` could not be imported.
    #[error("{} could not be added", count(*.items, "item"))]
    Incomplete {
        items: u64,
        /// What they have in common.
        kind: ErrorKind,
    },
    /// Published checksums could not be compared with what was added.
    #[error("{} could not be compared with what was added", count(*.0, "checksum file"))]
    Unchecked(u64),
    /// A file, directory or other system resource failed.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Standard output could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// The rehearsed release did not survive, or the rehearsal failed.
    #[error("{0}")]
    Drill(String),
    /// SIGINT or SIGTERM arrived.
    #[error("interrupted by a signal")]
    Interrupted { goes_on: bool },
}

fn exposed_text(places: u64) -> String {
    match places {
        1 => "1 place with secrets was".to_owned(),
        places => format!("{places} places with secrets were"),
    }
}

fn unaudited_text(entries: u64) -> String {
    format!("{} could", count(entries, "signed statement"))
}

fn corrupt_text(corrupt: u64, lost: u64) -> String {
    match (corrupt, lost) {
        (corrupt, 0) => format!("{} failed verification", count(corrupt, "stored object")),
        (0, 1) => "1 object is lost".to_owned(),
        (0, lost) => format!("{} are lost", count(lost, "object")),
        (corrupt, lost) => {
            let failed = count(corrupt, "stored object");
            format!("{failed} failed verification, and {} lost", count(lost, "object"))
        }
    }
}

impl From<CallError> for CommandError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(failure) => CommandError::Refused(failure),
            CallError::Lost => CommandError::Lost,
            CallError::Frame(error) => CommandError::Frame(error),
        }
    }
}

impl From<clap::Error> for CommandError {
    /// The message of the parser, and what it suggests.
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let mut paragraphs = text.split("\n\n").map(|part| {
            let lines: Vec<&str> = part.lines().map(str::trim).collect();
            lines.join(" ")
        });
        let message = paragraphs.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
        let hint = paragraphs.find(|part| part.starts_with("tip: ") || part.starts_with("Usage: "));
        let hint = hint.map(|hint| hint.trim_start_matches("tip: ").to_owned());
        CommandError::Usage { message, hint }
    }
}

impl CommandError {
    /// The error, of a command whose work is kept when it is interrupted.
    pub(crate) fn of_resumable(self) -> Self {
        match self {
            CommandError::Interrupted { .. } => CommandError::Interrupted { goes_on: true },
            other => other,
        }
    }

    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CommandError::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            CommandError::Refused(failure) => code_of(failure.code),
            CommandError::Incomplete { kind, .. } => code_of(*kind),
            CommandError::Usage { .. } => USAGE,
            CommandError::NoMatch { .. } => NOT_FOUND,
            CommandError::Corrupt { .. }
            | CommandError::Unread(_)
            | CommandError::Exposed(_)
            | CommandError::NotAudited(_) => DISPROVED,
            CommandError::Start(error) => error.exit_code(),
            CommandError::Interrupted { .. } => INTERRUPTED,
            CommandError::Connect(_)
            | CommandError::NoNode(_)
            | CommandError::InUse { .. }
            | CommandError::Lost => UNAVAILABLE,
            // The reader closed the pipe because it has enough.
            CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CommandError::Frame(_)
            | CommandError::Io { .. }
            | CommandError::Output(_)
            | CommandError::Drill(_)
            | CommandError::Unchecked(_) => FAILED,
        }
    }

    /// A next step for the user.
    fn hint(&self) -> Option<String> {
        Some(match self {
            CommandError::Refused(Failure { hint: Some(hint), .. }) => hint.clone(),
            CommandError::Refused(_) => return None,
            CommandError::Usage { hint, .. } => return hint.clone(),
            CommandError::Connect(ConnectError::Denied { .. }) => {
                "run this as the user that runs the node, or give another --data DIR".into()
            }
            CommandError::Start(error) => return error.hint(),
            CommandError::NoMatch { hint, .. } => hint.clone(),
            CommandError::NoNode(data) => {
                format!("start one: perennial serve --data {}", data.display())
            }
            CommandError::Interrupted { goes_on: true } => {
                "the same command continues where this one stopped".into()
            }
            CommandError::InUse { .. } => {
                "wait for that process to end, or give another --data DIR".into()
            }
            CommandError::Lost => {
                "it was stopped or it failed: see its log. Everything it acknowledged is safe"
                    .into()
            }
            CommandError::Frame(_) => {
                "`perennial` and the running node may be of different versions".into()
            }
            CommandError::Corrupt { corrupt: 0, .. } => {
                "`perennial get` fetches a release again from a node that has it; files added in \
                 place are found again where they were, and after `perennial relocate OLD NEW`"
                    .into()
            }
            CommandError::Corrupt { .. } => {
                "corrupt data was set aside and is never served; `perennial get` fetches it again"
                    .into()
            }
            CommandError::Exposed(_) => {
                "replace each credential where it was issued, so that the old one opens nothing; \
                 a signed entry cannot be taken back from the nodes that have it"
                    .into()
            }
            CommandError::NotAudited(_) => {
                "connect to a peer that has them (--peer), so that they are fetched again, and \
                 look again"
                    .into()
            }
            CommandError::Unread(_) => {
                "nothing was set aside: check the disk (its errors are in the kernel's log), and \
                 verify again"
                    .into()
            }
            CommandError::Incomplete { .. } => {
                "each item says why; what was added is kept, and the same command adds the rest \
                 once the reason is mended"
                    .into()
            }
            CommandError::Unchecked(_) => {
                "what came is in the archive, with the checksum file; the reason is given with each"
                    .into()
            }
            _ => return None,
        })
    }
}

/// The exit code of a kind of failure.
fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Failed => FAILED,
        ErrorKind::Usage | ErrorKind::Ambiguous => USAGE,
        ErrorKind::NotFound | ErrorKind::Strangers => NOT_FOUND,
        ErrorKind::Verification | ErrorKind::Conflict => DISPROVED,
        ErrorKind::Unreachable => UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_node_have_the_documented_exit_codes() {
        for (code, exit) in [
            (ErrorKind::Failed, 1),
            (ErrorKind::Usage, 2),
            (ErrorKind::Ambiguous, 2),
            (ErrorKind::NotFound, 3),
            (ErrorKind::Strangers, 3),
            (ErrorKind::Verification, 4),
            (ErrorKind::Conflict, 4),
            (ErrorKind::Unreachable, 5),
        ] {
            assert_eq!(
                CommandError::Refused(Failure::new(code, "x")).exit_code(),
                exit,
                "{code:?}"
            );
        }
    }

    #[test]
    fn our_own_failures_have_the_documented_exit_codes() {
        let pipe = |kind: io::ErrorKind| CommandError::Output(kind.into());
        assert_eq!(pipe(io::ErrorKind::BrokenPipe).exit_code(), 0);
        assert_eq!(pipe(io::ErrorKind::StorageFull).exit_code(), 1);
        assert_eq!(CommandError::usage("x", "y").exit_code(), 2);
        assert_eq!(CommandError::Corrupt { corrupt: 0, lost: 1 }.exit_code(), 4);
        assert_eq!(CommandError::InUse { data: "/d".into(), pid: 1 }.exit_code(), 5);
        assert_eq!(
            CommandError::Start(StartError::InUse { data: "/d".into(), pid: 1 }).exit_code(),
            5
        );
        assert_eq!(CommandError::Lost.exit_code(), 5);
        assert_eq!(CommandError::NoNode("/d".into()).exit_code(), 5);
        assert_eq!(CommandError::Interrupted { goes_on: false }.exit_code(), 130);
        let no_match = CommandError::NoMatch { message: "x".into(), hint: "y".into() };
        assert_eq!(no_match.exit_code(), 3);
        assert_eq!(CommandError::Drill("lost".into()).exit_code(), 1);
    }

    #[test]
    fn what_the_parser_says_is_a_sentence_and_a_suggestion() {
        use clap::Parser;
        let of = |line: &str| {
            let error = crate::args::Cli::try_parse_from(line.split(' ')).unwrap_err();
            let CommandError::Usage { message, hint } = CommandError::from(error) else { panic!() };
            (message, hint.unwrap_or_default())
        };
        let (message, hint) = of("perennial levitate");
        assert_eq!(message, "unrecognized subcommand 'levitate'");
        assert!(hint.contains("'list'"), "{hint}");
        let (_, hint) = of("perennial completions tcsh");
        assert!(!hint.contains("\u{1b}"), "{hint}");
        let (message, hint) = of("perennial ls --jsno");
        assert!(message.contains("'--jsno'") && hint.contains("'--json'"), "{message}: {hint}");
        let (message, _) = of("perennial get");
        assert!(message.ends_with("not provided: <SELECTOR>"), "{message}");
    }
}
