//! Lines of a label and a value, such as those of `show` and `status`, wrapped at the width of a
//! terminal.

use unicode_width::UnicodeWidthStr;

use crate::screen::Screen;

/// Lines under construction.
#[derive(Debug)]
pub(crate) struct Fields {
    label: usize,
    width: usize,
    text: String,
}

impl Fields {
    /// Lines whose labels take `label` columns, the space behind them included.
    pub(crate) fn new(screen: &Screen, label: usize) -> Fields {
        Fields { label, width: screen.width.unwrap_or(usize::MAX), text: String::new() }
    }

    /// Adds a value, which may take several lines. It contains nothing that acts on a terminal.
    pub(crate) fn add(&mut self, label: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let indent = self.label;
        self.text += &wrapped(&format!("{label:<indent$}"), value, self.width);
    }

    /// The lines, without a line feed at the end.
    pub(crate) fn text(self) -> String {
        self.text
    }
}

/// A label and a text that goes on below itself where the line ends.
pub(crate) fn wrapped(label: &str, text: &str, width: usize) -> String {
    let indent = label.width();
    let (mut lines, mut used) = (label.to_owned(), indent);
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 && used + 1 + word.width() > width {
            lines += &format!("\n{:indent$}", "");
            used = indent;
        } else if at > 0 {
            lines.push(' ');
            used += 1;
        }
        lines += word;
        used += word.width();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(width: Option<usize>) -> String {
        let mut fields = Fields::new(&Screen { width, ..Screen::new(false, false) }, 8);
        fields.add("by", "did:key:z6Mk savers, archivist");
        fields.add("state", "held");
        fields.text()
    }

    #[test]
    fn a_message_goes_on_below_itself() {
        assert_eq!(
            wrapped("hint: ", "give --peer ADDRESS", 18),
            "hint: give --peer\n      ADDRESS"
        );
        assert_eq!(wrapped("", "one two", 4), "one\ntwo");
    }

    #[test]
    fn values_wrap_below_themselves_on_a_terminal_only() {
        assert_eq!(lines(None), "by      did:key:z6Mk savers, archivist\nstate   held");
        assert_eq!(
            lines(Some(30)),
            "by      did:key:z6Mk savers,\n        archivist\nstate   held"
        );
        assert_eq!(
            lines(Some(5)),
            "by      did:key:z6Mk\n        savers,\n        archivist\nstate   held"
        );
    }
}
