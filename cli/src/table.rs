//! Tables.
//!
//! A terminal gets a header and aligned columns that fit its width: columns that can be missed are
//! left out first, then names are cut in the middle, where they say least. A pipe or a file gets
//! every column whole, separated by tabs and without a header, as rows arrive.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::screen::Screen;

/// The space between two columns.
const GAP: usize = 2;
/// No column is cut to less.
const LEAST: usize = 8;
/// Rows that are measured together, at most, which bounds the memory of a long list.
const CHUNK: usize = 1_000;

/// How a column gives way where a terminal is narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It keeps its width.
    Whole,
    /// It keeps its width, and is aligned to the right.
    Number,
    /// It is cut in the middle.
    Cut,
    /// It is left out.
    Optional,
    /// It is for programs, and never on a terminal.
    Piped,
}

/// A column: its heading, and how it gives way.
pub(crate) type Column = (&'static str, Fit);

/// One value: as people read it in a table, and as programs read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    brief: String,
    whole: String,
}

impl Cell {
    /// A value that is the same for both. It contains nothing that acts on a terminal.
    pub(crate) fn same(text: impl Into<String>) -> Cell {
        let brief = text.into();
        Cell { whole: brief.clone(), brief }
    }

    /// A value with a shorter form for the table.
    pub(crate) fn brief(brief: impl Into<String>, whole: impl Into<String>) -> Cell {
        Cell { brief: brief.into(), whole: whole.into() }
    }

    /// The value as people read it.
    #[cfg(test)]
    pub(crate) fn brief_text(&self) -> &str {
        &self.brief
    }
}

/// A table that is printed in chunks.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    /// The width of the terminal, if standard output is one.
    width: Option<usize>,
    rows: Vec<[Cell; N]>,
    headed: bool,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(screen: &Screen, columns: [Column; N]) -> Table<N> {
        Table { columns, width: screen.width, rows: Vec::new(), headed: false }
    }

    /// Adds a row, and prints it now if it has to wait for no others.
    pub(crate) fn push(&mut self, row: [Cell; N]) -> io::Result<()> {
        self.rows.push(row);
        if self.width.is_none() || self.rows.len() == CHUNK { self.print() } else { Ok(()) }
    }

    /// All of these rows, as text.
    pub(crate) fn text_of(&mut self, rows: impl Iterator<Item = [Cell; N]>) -> String {
        self.rows.extend(rows);
        self.take_text()
    }

    /// Prints the rows that have not been printed.
    pub(crate) fn print(&mut self) -> io::Result<()> {
        let text = self.take_text();
        io::stdout().lock().write_all(text.as_bytes())
    }

    /// The rows that have not been printed, as text.
    pub(crate) fn take_text(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        let Some(width) = self.width else {
            let line = |row: &[Cell; N]| {
                let cells: Vec<&str> = row.iter().map(|cell| cell.whole.as_str()).collect();
                cells.join("\t") + "\n"
            };
            return rows.iter().map(line).collect();
        };
        if rows.is_empty() {
            return String::new();
        }
        let widths = self.layout(&rows, width);
        let heading = self.columns.map(|(heading, _)| heading);
        let mut text = String::new();
        if !std::mem::replace(&mut self.headed, true) {
            self.line(&heading, &widths, &mut text);
        }
        for row in &rows {
            self.line(&row.each_ref().map(|cell| cell.brief.as_str()), &widths, &mut text);
        }
        text
    }

    /// The width of each column; none for one that is left out.
    fn layout(&self, rows: &[[Cell; N]], width: usize) -> [Option<usize>; N] {
        let mut widths = std::array::from_fn(|at| {
            let (heading, fit) = self.columns[at];
            let widest = rows.iter().map(|row| row[at].brief.width()).max().unwrap_or(0);
            (widest > 0 && fit != Fit::Piped).then(|| widest.max(heading.width()))
        });
        let total = |widths: &[Option<usize>; N]| {
            let shown = widths.iter().flatten();
            (shown.clone().sum::<usize>() + GAP * shown.count()).saturating_sub(GAP)
        };
        for at in (0..N).rev() {
            if total(&widths) > width && self.columns[at].1 == Fit::Optional {
                widths[at] = None;
            }
        }
        loop {
            let over = total(&widths).saturating_sub(width);
            let cut = (0..N).filter(|at| self.columns[*at].1 == Fit::Cut);
            let widest = cut.max_by_key(|at| widths[*at]).and_then(|at| widths[at].as_mut());
            match widest {
                Some(widest) if over > 0 && *widest > LEAST => *widest -= 1,
                _ => return widths,
            }
        }
    }

    fn line(&self, cells: &[&str; N], widths: &[Option<usize>; N], text: &mut String) {
        let mut gap = 0;
        for (at, width) in widths.iter().enumerate() {
            let Some(width) = *width else { continue };
            let cell = cut(cells[at], width);
            let free = width - cell.width().min(width);
            let (before, after) =
                if self.columns[at].1 == Fit::Number { (free, 0) } else { (0, free) };
            text.extend(std::iter::repeat_n(' ', gap + before));
            *text += &cell;
            gap = GAP + after;
        }
        text.push('\n');
    }
}

/// `text` within `width`, with an ellipsis for its middle.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let keep = width.saturating_sub(1);
    let take = |room: usize, chars: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        let fits = |c: &char| {
            used += c.width().unwrap_or(0);
            used <= room
        };
        chars.take_while(fits).collect::<Vec<_>>()
    };
    let head = take(keep - keep / 2, &mut text.chars());
    let tail = take(keep / 2, &mut text.chars().rev());
    Cow::Owned(head.into_iter().chain(['…']).chain(tail.into_iter().rev()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        ("NAME", Fit::Cut),
        ("SIZE", Fit::Number),
        ("DIGEST", Fit::Optional),
        ("KIND", Fit::Piped),
    ];

    fn printed(width: Option<usize>, rows: &[[&str; 4]]) -> String {
        let screen = Screen { width, ..Screen::new(false, false) };
        let mut table = Table::new(&screen, COLUMNS);
        table.rows = rows.iter().map(|row| row.map(Cell::same)).collect();
        table.take_text()
    }

    const ROWS: [[&str; 4]; 2] = [
        ["minio:RELEASE.2025-09-07T16-13-09Z", "297 KiB", "0123456789ab", "docker"],
        ["工具@1", "1 B", "ba9876543210", "generic"],
    ];

    #[test]
    fn a_wide_terminal_shows_all_and_a_narrow_one_what_fits() {
        assert_eq!(
            printed(Some(80), &ROWS),
            "NAME                                   SIZE  DIGEST\n\
             minio:RELEASE.2025-09-07T16-13-09Z  297 KiB  0123456789ab\n\
             工具@1                                  1 B  ba9876543210\n"
        );
        assert_eq!(
            printed(Some(30), &ROWS),
            "NAME                      SIZE\n\
             minio:RELE…T16-13-09Z  297 KiB\n\
             工具@1                     1 B\n"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 20..90 {
            for line in printed(Some(width), &ROWS).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_pipe_gets_every_value_whole() {
        assert_eq!(
            printed(None, &ROWS[..1]),
            "minio:RELEASE.2025-09-07T16-13-09Z\t297 KiB\t0123456789ab\tdocker\n"
        );
    }

    #[test]
    fn a_column_that_says_nothing_is_left_out() {
        assert_eq!(printed(Some(80), &[["a", "", "", ""]]), "NAME\na\n");
    }

    #[test]
    fn wide_characters_are_cut_whole() {
        assert_eq!(cut("工具工具工具", 8), "工具…具");
        assert_eq!(cut("abcdefghij", 8), "abcd…hij");
        assert_eq!(cut("abc", 0), "…");
    }
}
