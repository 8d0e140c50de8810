//! Remarks on a release: those of the user, and what an import has to say of itself.
//!
//! Promises that what is added does not make them longer than a release may have them.

/// Longest remarks of a release, in bytes.
const MOST: usize = 2048;
/// Room for the line that says that there is more.
const LAST: usize = 64;

/// Lines.
#[derive(Debug, Default)]
pub(super) struct Notes {
    text: String,
    /// Lines that there was no room for.
    more: usize,
}

impl Notes {
    /// Begins with what the user says, as it is.
    pub(super) fn new(given: Option<&str>) -> Self {
        Self { text: given.unwrap_or_default().to_owned(), more: 0 }
    }

    pub(super) fn add(&mut self, line: &str) {
        if self.text.len() + 1 + line.len() + LAST > MOST {
            self.more += 1;
        } else {
            self.push(line);
        }
    }

    fn push(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// All of them, if there are any.
    pub(super) fn into_text(mut self) -> Option<String> {
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
    fn there_is_always_room_for_what_was_left_out() {
        let mut notes = Notes::new(Some("mine"));
        (0..100).for_each(|at| notes.add(&format!("{at}: {}", "x".repeat(50))));
        let text = notes.into_text().unwrap();
        assert!(text.len() <= MOST && text.starts_with("mine\n0: x"), "{text}");
        let kept = text.lines().filter(|line| line.contains('x')).count();
        assert!(
            text.ends_with(&format!("And {} more remarks of this kind.", 100 - kept)),
            "{text}"
        );
        assert_eq!(Notes::new(None).into_text(), None);
        let long = "x".repeat(MOST);
        let mut notes = Notes::new(Some(&long));
        notes.add("more");
        assert_eq!(notes.into_text().unwrap(), long);
    }
}
