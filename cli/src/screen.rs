//! Standard output and standard error.
//!
//! Results go to standard output, status and errors to standard error. [`safe`] escapes every text
//! that may come from other users or peers: names, paths, notes, and error messages that quote
//! them.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use serde::Serialize;

use crate::fields::wrapped;

/// The version of the rows that `--json` prints, described in `cli/JSON.md`. It changes when a
/// field is removed or means something else; new fields leave it as it is.
const JSON_VERSION: u32 = 1;
/// The width of a terminal that does not tell its own.
const USUAL_WIDTH: usize = 80;

/// The output of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Print one JSON object per line instead of text.
    pub(crate) json: bool,
    /// Print results and errors only.
    pub(crate) quiet: bool,
    /// The width of the terminal on standard error; none if it is a pipe or a file.
    pub(crate) error_width: Option<usize>,
    /// The width of the terminal on standard output; none if it is a pipe or a file.
    pub(crate) width: Option<usize>,
}

impl Screen {
    pub(crate) fn new(json: bool, quiet: bool) -> Screen {
        let (width, error_width) = (width_of(io::stdout()), width_of(io::stderr()));
        Screen { json, quiet, width, error_width }
    }

    /// Prints a line of the result.
    pub(crate) fn line(&self, text: Arguments<'_>) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Prints a line of the result as JSON.
    pub(crate) fn json_line(&self, row: &impl Serialize) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", json(&Versioned { v: JSON_VERSION, row })?)
    }

    /// Prints a line of the result, as JSON or as text.
    pub(crate) fn row<T: Serialize>(
        &self,
        row: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        if self.json { self.json_line(row) } else { self.line(format_args!("{}", text(row))) }
    }

    /// Prints a status line, which is not part of the result.
    pub(crate) fn status(&self, text: Arguments<'_>) {
        if !self.quiet && !self.json {
            self.message("", &text.to_string());
        }
    }

    /// Prints a text on standard error, behind a label.
    pub(crate) fn message(&self, label: &str, text: &str) {
        let width = self.error_width.unwrap_or(usize::MAX);
        self.error(format_args!("{}", wrapped(label, text, width)));
    }

    /// Prints a line of an error.
    pub(crate) fn error(&self, text: Arguments<'_>) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Prints an error as JSON, for scripts.
    pub(crate) fn error_json(&self, row: &impl Serialize) {
        if let Ok(text) = json(&Versioned { v: JSON_VERSION, row }) {
            self.error(format_args!("{text}"));
        }
    }
}

/// The width of a terminal.
fn width_of(output: impl IsTerminal + AsFd) -> Option<usize> {
    output.is_terminal().then(|| {
        terminal_size::terminal_size_of(output)
            .map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
    })
}

/// A row with the version of its shape.
#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    row: &'a T,
}

/// Compact JSON without characters that act on a terminal.
fn json(row: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string(row).map_err(io::Error::other)?;
    if !text.chars().any(acts) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // serde_json leaves these unescaped; they occur only inside strings.
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

/// Returns whether a character controls a terminal, changes text direction, or is invisible.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}')
        || matches!(c, '\u{61c}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        // Invisible characters would make two different names look equal.
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{3164}' | '\u{ffa0}')
}

/// `text` with every character that acts on a terminal written as an escape.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The first 12 characters of an id, enough for display.
pub(crate) fn short(id: &str) -> Cow<'_, str> {
    let end = id.char_indices().nth(12).map_or(id.len(), |(at, _)| at);
    safe(&id[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_control_the_terminal() {
        assert_eq!(safe("kubekey v3.1.0 中文 é"), "kubekey v3.1.0 中文 é");
        assert_eq!(
            safe("a\u{1b}[31mb\r\n\u{9b}2J\u{202e}x"),
            "a\\u{1b}[31mb\\u{d}\\u{a}\\u{9b}2J\\u{202e}x"
        );
    }

    #[test]
    fn bidirectional_and_invisible_characters_are_escaped() {
        let turning = ('\u{202a}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{200e}', '\u{200f}', '\u{61c}']);
        let unseen = [
            '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{34f}',
            '\u{180e}',
        ];
        for c in turning.chain(unseen) {
            let text = format!("a{c}b");
            assert_eq!(safe(&text), format!("a\\u{{{:x}}}b", u32::from(c)));
            assert!(!json(&text).unwrap().contains(c), "{c:?}");
        }
    }

    #[test]
    fn escaped_json_decodes_to_the_same_value() {
        let foreign = "a\u{1b}\u{9b}\u{7f}\u{202e}\u{e0041}é".to_owned();
        let text = json(&foreign).unwrap();
        assert!(!text.chars().any(acts), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), foreign);
    }

    #[test]
    fn a_short_id_is_cut_between_characters() {
        assert_eq!(short("0123456789abcdef"), "0123456789ab");
        assert_eq!(short("ééééééééééééé"), "éééééééééééé");
    }
}
