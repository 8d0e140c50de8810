//! What the user should know about a tree that was added: what is in it unseen, and what is not.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::tree::Offender;

/// Files named in remarks, at most.
const NAMED: usize = 20;
/// Bytes of names of extended attributes that are looked at.
const NAMES: usize = 4 << 10;

/// Counts of what is easily overlooked.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    pub(super) hidden_files: u64,
    pub(super) hidden_directories: u64,
    pub(super) links: u64,
    /// Empty ones.
    pub(super) directories: u64,
    /// Temporary files of interrupted exports.
    pub(super) leftovers: u64,
    privileged: u64,
    attributed: u64,
    hard_links: u64,
    /// Files that cannot be part of a release.
    pub(super) left_out: Vec<Offender>,
    /// Patterns that matched nothing.
    pub(super) useless: Vec<String>,
}

impl Remarks {
    /// Notes what a release does not keep of a file.
    pub(super) fn note_dropped(&mut self, path: &Path, meta: &Metadata) {
        self.privileged += u64::from(meta.permissions().mode() & 0o6000 != 0);
        self.hard_links += u64::from(meta.nlink() > 1);
        self.attributed += u64::from(has_attributes(path));
    }

    /// One sentence for each kind.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut say = |counts: &[(u64, &str)], what: &str| {
            let parts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(counted).collect();
            if !parts.is_empty() {
                sentences.push(format!("{}{what}", parts.join(", ")));
            }
        };
        let hidden =
            [(self.hidden_files, "hidden file"), (self.hidden_directories, "hidden directory")];
        say(&hidden, " included; --exclude '.*' leaves them out");
        let kept = [(self.links, "symbolic link"), (self.directories, "empty directory")];
        say(&kept, " kept as such");
        say(&[(self.leftovers, "file")], " of an interrupted `perennial get` left out");
        say(&[(self.privileged, "file")], " lost the setuid or setgid bit, which no release keeps");
        say(&[(self.attributed, "file")], " lost extended attributes, which no release keeps");
        say(&[(self.hard_links, "file")], " with hard links: each name is a file of its own");
        for pattern in &self.useless {
            sentences.push(format!("--exclude {pattern} matched nothing"));
        }
        let left_out = self.left_out.iter().take(NAMED);
        sentences.extend(left_out.map(|offender| format!("left out: {offender}")));
        if self.left_out.len() > NAMED {
            sentences.push(format!("left out: {} more files", self.left_out.len() - NAMED));
        }
        sentences
    }
}

fn counted((n, noun): &(u64, &str)) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (n, Some(stem)) => format!("{n} {stem}ies"),
        (n, None) => format!("{n} {noun}s"),
    }
}

/// Whether a file has extended attributes that somebody gave it: the labels of security modules are
/// those of the machine.
fn has_attributes(path: &Path) -> bool {
    let mut names = [0; NAMES];
    let Ok(len) = rustix::fs::llistxattr(path, &mut names[..]) else { return false };
    let given = |name: &[u8]| name.starts_with(b"user.") || name == b"security.capability";
    names[..len].split(|byte| *byte == 0).any(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_sentences() {
        let remarks = Remarks {
            hidden_files: 3,
            hidden_directories: 1,
            directories: 2,
            privileged: 1,
            useless: vec!["*.x".into()],
            ..Remarks::default()
        };
        assert_eq!(
            remarks.sentences(),
            [
                "3 hidden files, 1 hidden directory included; --exclude '.*' leaves them out",
                "2 empty directories kept as such",
                "1 file lost the setuid or setgid bit, which no release keeps",
                "--exclude *.x matched nothing",
            ]
        );
        assert!(Remarks::default().sentences().is_empty());
    }
}
