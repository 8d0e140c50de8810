//! Every way to fail, its exit code and what to do next. The only place where exit codes are decided.

use std::io;
use std::path::PathBuf;

use perennial_control::{CallError, Claim, ConnectError, ErrorCode, Failure, FrameError};
use perennial_node::StartError;
use serde::Serialize;

use crate::quantity::{bytes, count, day};
use crate::screen::{Screen, safe, short};

/// Anything that is not one of the others.
pub(crate) const FAILED: u8 = 1;
/// What was typed makes no sense.
pub(crate) const USAGE: u8 = 2;
/// Not found, or nobody reachable holds it.
pub(crate) const NOT_FOUND: u8 = 3;
/// Verification failed, or claims conflict.
pub(crate) const UNTRUE: u8 = 4;
/// Data directory in use, or node unreachable.
pub(crate) const UNAVAILABLE: u8 = 5;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The node says why.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// What was typed makes no sense.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// The node that runs here cannot be asked.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A node cannot be started here.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The data directory is taken, and nobody answers in it.
    #[error("{} is in use by process {pid}, which does not answer", data.display())]
    InUse { data: PathBuf, pid: u32 },
    /// The node went away.
    #[error("the node ended the conversation before it answered")]
    Lost,
    /// The conversation with the node broke.
    #[error(transparent)]
    Frame(FrameError),
    /// The node's answer belongs to another question.
    #[error("the node gave an answer that does not belong to the question")]
    Answer,
    /// Stored blobs are not what their names say.
    #[error("{0} failed verification")]
    Corrupt(String),
    /// Some of what was to be added could not be had.
    #[error("{} could not be added", count(*.0, "thing"))]
    Incomplete(u64),
    /// A file or directory.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Standard output.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// The rehearsed release did not survive, or could not be rehearsed.
    #[error("{0}")]
    Drill(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
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

/// What scripts read on standard error under `--json`.
#[derive(Serialize)]
struct ErrorRow<'a> {
    error: String,
    exit: u8,
    hint: Option<String>,
    claims: &'a [Claim],
}

impl CommandError {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CommandError::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            CommandError::Refused(failure) => match failure.code {
                ErrorCode::Failed => FAILED,
                ErrorCode::Usage | ErrorCode::Ambiguous => USAGE,
                ErrorCode::NotFound | ErrorCode::Strangers => NOT_FOUND,
                ErrorCode::Verification | ErrorCode::Conflict => UNTRUE,
                ErrorCode::Unreachable | ErrorCode::InUse => UNAVAILABLE,
            },
            CommandError::Usage { .. } => USAGE,
            CommandError::Corrupt(_) => UNTRUE,
            CommandError::Connect(_)
            | CommandError::Start(StartError::InUse { .. })
            | CommandError::InUse { .. }
            | CommandError::Lost => UNAVAILABLE,
            // whoever reads the result has had enough of it
            CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CommandError::Start(_)
            | CommandError::Frame(_)
            | CommandError::Answer
            | CommandError::Io { .. }
            | CommandError::Output(_)
            | CommandError::Drill(_)
            | CommandError::Incomplete(_)
            | CommandError::Interrupted => FAILED,
        }
    }

    /// What to do next.
    fn hint(&self) -> Option<String> {
        Some(match self {
            CommandError::Refused(Failure { hint: Some(hint), .. }) => hint.clone(),
            CommandError::Refused(failure) => match failure.code {
                ErrorCode::Strangers => {
                    "nothing was fetched; follow one of them (`perennial follow DID`), or name it once with \
                     --publisher DID, or ask for the release id: an id needs no trust"
                }
                ErrorCode::Conflict => "say whose bytes you want with --publisher DID",
                ErrorCode::Ambiguous => "add @VERSION, or give the package URL or the release id",
                ErrorCode::NotFound => "name a node that may have it with --peer MULTIADDR",
                ErrorCode::InUse => "stop the node on that data directory first",
                _ => return None,
            }
            .into(),
            CommandError::Usage { hint, .. } => return hint.clone(),
            CommandError::Connect(ConnectError::Denied { .. }) => {
                "run this as the user that runs the node, or give another --data DIR".into()
            }
            CommandError::Start(StartError::InUse { .. }) | CommandError::InUse { .. } => {
                "wait until it ends, or give another --data DIR".into()
            }
            CommandError::Lost => {
                "it stopped or failed; its log says why. What it acknowledged is safe".into()
            }
            CommandError::Frame(_) | CommandError::Answer => {
                "`perennial` and the running node may be of different versions".into()
            }
            CommandError::Corrupt(_) => {
                "they were set aside and never leave this node; `perennial get` fetches them again".into()
            }
            CommandError::Incomplete(_) => {
                "the same command again goes on with what is missing; what came is kept and announced".into()
            }
            _ => return None,
        })
    }

    /// Tells the user and returns the exit code.
    pub(crate) fn report(&self, screen: &Screen) -> u8 {
        let code = self.exit_code();
        if code == 0 {
            return code;
        }
        let claims = match self {
            CommandError::Refused(failure) => failure.claims.as_slice(),
            _ => &[],
        };
        if screen.json {
            let row = ErrorRow { error: self.to_string(), exit: code, hint: self.hint(), claims };
            screen.error_json(&row);
            return code;
        }
        screen.error(format_args!("error: {}", safe(&self.to_string())));
        for claim in claims {
            screen.error(format_args!("  {}", claim_line(claim)));
        }
        if let Some(hint) = self.hint() {
            screen.error(format_args!("hint: {}", safe(&hint)));
        }
        code
    }
}

/// Who signed what, in a line.
fn claim_line(claim: &Claim) -> String {
    let name = claim.name.as_deref().map(|name| format!(" \"{}\"", safe(name))).unwrap_or_default();
    let forked = if claim.forked { ", FORKED" } else { "" };
    format!(
        "{} ({}{name}{forked})\n    signed {} on {}: {}, {}, release {}, list {}",
        safe(&claim.publisher),
        claim.kind,
        safe(&claim.purl),
        day(claim.issued_at),
        count(claim.artifacts, "file"),
        bytes(claim.bytes),
        safe(&claim.release),
        short(claim.list.trim_start_matches("blake3:")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_node_have_the_documented_exit_codes() {
        for (code, exit) in [
            (ErrorCode::Failed, 1),
            (ErrorCode::Usage, 2),
            (ErrorCode::Ambiguous, 2),
            (ErrorCode::NotFound, 3),
            (ErrorCode::Strangers, 3),
            (ErrorCode::Verification, 4),
            (ErrorCode::Conflict, 4),
            (ErrorCode::Unreachable, 5),
            (ErrorCode::InUse, 5),
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
        assert_eq!(CommandError::Corrupt("1 blob".into()).exit_code(), 4);
        assert_eq!(CommandError::InUse { data: "/d".into(), pid: 1 }.exit_code(), 5);
        assert_eq!(
            CommandError::Start(StartError::InUse { data: "/d".into(), pid: 1 }).exit_code(),
            5
        );
        assert_eq!(CommandError::Lost.exit_code(), 5);
        assert_eq!(CommandError::Drill("lost".into()).exit_code(), 1);
    }

    #[test]
    fn strangers_are_listed_without_their_control_characters() {
        let claim = Claim {
            release: "ab".repeat(32),
            purl: "pkg:generic/a@1".into(),
            publisher: "did:key:z6Mk".into(),
            kind: perennial_manifest::PublisherKind::Archivist,
            name: Some("evil\u{1b}[2J\nupstream".into()),
            list: format!("blake3:{}", "cd".repeat(32)),
            artifacts: 2,
            bytes: 26,
            issued_at: 1_753_920_000,
            forked: false,
        };
        let line = claim_line(&claim);
        assert!(!line.contains('\u{1b}') && line.contains("archivist"), "{line}");
        assert!(line.contains("2025-07-31") && line.contains("2 files"), "{line}");
        assert_eq!(line.lines().count(), 2, "{line}");
    }
}
