//! What the user should know about a tree that was added: what is in it unseen, and what is not.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use perennial_operation::Failed;

use super::tree::Offender;

/// Files that are named as left out, at most.
const NAMED: usize = 200;
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
        sentences
    }

    /// The files that cannot be part of a release, named as they would be in it: their paths on
    /// this machine are not for others.
    pub(super) fn left_out(&self, sources: &[PathBuf]) -> Vec<Failed> {
        let name = |path: &Path| {
            let below = |source: &PathBuf| path.strip_prefix(source).ok().map(Path::to_path_buf);
            let inner =
                sources.iter().find_map(below).filter(|inner| !inner.as_os_str().is_empty());
            let own = || PathBuf::from(path.file_name().unwrap_or_default());
            inner.unwrap_or_else(own).display().to_string()
        };
        let named = self.left_out.iter().take(NAMED);
        let mut left_out: Vec<_> = named
            .map(|offender| Failed::new(name(&offender.path), offender.reason.clone()))
            .collect();
        if self.left_out.len() > NAMED {
            let more = format!("{} more files", self.left_out.len() - NAMED);
            left_out.push(Failed::new(more, "cannot be part of a release either"));
        }
        left_out
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
    fn files_left_out_are_named_as_in_the_release() {
        let offender = |path: String| Offender { path: path.into(), reason: "why".into() };
        let named = ["/a/in/x/a:b", "/a/c:d"].map(|path| offender(path.to_owned()));
        let mut remarks = Remarks { left_out: named.into(), ..Remarks::default() };
        let sources = ["/a/in".into(), "/a/c:d".into()];
        let whats = |remarks: &Remarks| -> Vec<String> {
            remarks.left_out(&sources).into_iter().map(|failed| failed.what).collect()
        };
        assert_eq!(whats(&remarks), ["x/a:b", "c:d"]);
        remarks.left_out.extend((0..NAMED + 3).map(|n| offender(format!("/a/in/{n}:"))));
        let all = whats(&remarks);
        assert_eq!((all.len(), all.last().unwrap().as_str()), (NAMED + 1, "5 more files"));
    }

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
