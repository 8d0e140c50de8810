//! Remarks on a release: the user's, followed by those of the operation that makes it.
//!
//! Promises that the operation's lines never push the text past a release's limit.

use perennial_manifest::Origin;

use crate::Failed;

/// Most bytes of remarks in a release.
const MOST: usize = 2048;
/// Bytes reserved for the line that counts the omitted remarks.
const LAST: usize = 64;

/// Remarks, one per line.
#[derive(Debug, Default)]
pub struct Notes {
    text: String,
    /// The number of lines left out for lack of room.
    more: usize,
}

impl Notes {
    /// Starts with the user's remarks, unchanged.
    #[must_use]
    pub fn new(given: Option<&str>) -> Self {
        Self { text: given.unwrap_or_default().to_owned(), more: 0 }
    }

    /// Adds a line for each part that was left out.
    #[must_use]
    pub fn left_out(mut self, parts: &[Failed]) -> Self {
        for Failed { what, reason, .. } in parts {
            self.say(&format!("perennial/left-out: {what}: {reason}"));
        }
        self
    }

    /// Adds a line for each checksum file that a file was not compared with.
    #[must_use]
    pub fn not_checked(mut self, files: &[Failed]) -> Self {
        for Failed { what, reason, .. } in files {
            self.say(&format!("perennial/not-checked: {what}: {reason}"));
        }
        self
    }

    /// Adds a line of the operation. Whatever an upstream put into it, no secret is signed.
    pub fn say(&mut self, line: &str) {
        let line = Origin::of(line).text;
        if self.text.len() + 1 + line.len() + LAST > MOST {
            self.more += 1;
        } else {
            self.push(&line);
        }
    }

    fn push(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// The whole text, with the count of omitted lines; `None` if it is empty.
    #[must_use]
    pub fn into_text(mut self) -> Option<String> {
        let last = format!("And {} more remarks of this kind.", self.more);
        if self.more > 0 && self.text.len() + 1 + last.len() <= MOST {
            self.push(&last);
        }
        (!self.text.is_empty()).then_some(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_always_have_room_for_the_omissions() {
        let mut notes = Notes::new(Some("mine"));
        (0..100).for_each(|at| notes.say(&format!("{at}: {}", "x".repeat(50))));
        let text = notes.into_text().unwrap();
        assert!(text.len() <= MOST && text.starts_with("mine\n0: x"), "{text}");
        let kept = text.lines().filter(|line| line.contains('x')).count();
        assert!(
            text.ends_with(&format!("And {} more remarks of this kind.", 100 - kept)),
            "{text}"
        );
        assert_eq!(Notes::new(None).into_text(), None);
        let failed = Failed::new("https://me:pw@a.test/x?token=1&v=2", "see https://b.test/?sig=3");
        let text = Notes::new(None).left_out(&[failed]).into_text().unwrap();
        assert_eq!(text, "perennial/left-out: https://a.test/x?v=2: see https://b.test/");
        let long = "x".repeat(MOST);
        let mut notes = Notes::new(Some(&long));
        notes.say("more");
        assert_eq!(notes.into_text().unwrap(), long);
    }
}
