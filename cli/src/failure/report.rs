//! The report of a failure: lines for a terminal, or one row for scripts.

use perennial_control::Claim;
use serde::Serialize;

use super::CommandError;
use crate::quantity::{bytes, count, day};
use crate::screen::{Screen, safe, short};

/// A failure as scripts read it on standard error under `--json`.
#[derive(Serialize)]
struct ErrorRow<'a> {
    error: String,
    exit: u8,
    hint: Option<String>,
    claims: &'a [Claim],
    details: &'a [String],
}

impl CommandError {
    /// One of several failures of a command: prints the one before it, as the last is printed by
    /// `main`.
    pub(crate) fn after(self, before: Result<(), Self>, screen: &Screen) -> Result<(), Self> {
        if let Err(before) = before {
            before.report(screen);
        }
        Err(self)
    }

    /// Prints the error and returns the exit code.
    pub(crate) fn report(&self, screen: &Screen) -> u8 {
        let code = self.exit_code();
        if code == 0 {
            return code;
        }
        let (claims, details) = match self {
            CommandError::Refused(failure) => {
                (failure.claims.as_slice(), failure.details.as_slice())
            }
            _ => (&[][..], &[][..]),
        };
        if screen.json {
            let row = ErrorRow {
                error: self.to_string(),
                exit: code,
                hint: self.hint(),
                claims,
                details,
            };
            screen.error_json(&row);
            return code;
        }
        screen.message("error: ", &safe(&self.to_string()));
        for detail in details {
            screen.message("  ", &safe(detail));
        }
        for claim in claims {
            screen.error(format_args!("  {}", claim_lines(claim)));
        }
        if let Some(hint) = self.hint() {
            screen.message("hint: ", &safe(&hint));
        }
        code
    }
}

/// A claim, in lines that fit a narrow terminal.
fn claim_lines(claim: &Claim) -> String {
    let name = claim.name.as_deref().map(|name| format!(", {}", safe(name))).unwrap_or_default();
    let forked = if claim.forked { ", FORKED" } else { "" };
    format!(
        "{}\n    {}{name}{forked}: {}\n    release {}\n    {}, {}, signed {}, list {}",
        claim.publisher,
        claim.kind,
        safe(claim.purl.as_str()),
        claim.release,
        count(claim.artifacts, "file"),
        bytes(claim.bytes),
        day(claim.issued_at),
        short(&claim.list.to_hex()),
    )
}

#[cfg(test)]
mod tests {
    use perennial_manifest::{BlobId, EntryId, Keypair, PublisherKind, Purl};

    use super::*;

    #[test]
    fn strangers_are_listed_without_their_control_characters() {
        let claim = Claim {
            release: EntryId::from_bytes([0xab; 32]).into(),
            purl: Purl::parse("pkg:generic/a@1").unwrap(),
            publisher: Keypair::from_seed([7; 32]).id(),
            kind: PublisherKind::Archivist,
            name: Some("evil\u{1b}[2J\nupstream".into()),
            list: BlobId::from_bytes([0xcd; 32]),
            artifacts: 2,
            bytes: 26,
            issued_at: 1_753_920_000,
            forked: false,
        };
        let line = claim_lines(&claim);
        assert!(!line.contains('\u{1b}') && line.contains("archivist"), "{line}");
        assert!(line.contains("2025-07-31") && line.contains("2 files"), "{line}");
        assert_eq!(line.lines().count(), 4, "{line}");
    }
}
