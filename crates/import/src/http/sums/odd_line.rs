//! Lines of a checksum file that were meant as entries, and whose digest lost or gained a digit on
//! its way: passed over, they would look like a file without a checksum.

use std::fmt;

use super::entry::{LENGTHS, algorithm, entry, mentions};

/// Digits that a digest may lack, or have too many of, and still be meant as one.
const NEAR: usize = 7;
/// Most lines with a fault that are kept.
const MAX_ODD: usize = 1000;

/// A line that states a digest with too few digits, too many, or one that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OddLine {
    /// Its number in the file, from 1.
    number: usize,
    line: String,
    /// What is wrong with its digest.
    fault: String,
}

impl OddLine {
    /// Whether the line is about the file `name`.
    pub(super) fn is_of(&self, name: &str) -> bool {
        mentions(&self.line, name)
    }
}

impl fmt::Display for OddLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} {}", self.number, self.fault)
    }
}

/// The lines that were meant as entries, and whose digest lost or gained a digit on its way.
pub(super) fn odd_lines(text: &str) -> Vec<OddLine> {
    let numbered = text.lines().enumerate().filter(|(_, line)| entry(line).is_none());
    let odd = numbered.filter_map(|(at, line)| {
        let words = || line.split(|c: char| !c.is_ascii_alphanumeric());
        if words().any(|word| algorithm(word) == Some(false)) {
            return None;
        }
        let fault = words().find_map(fault)?;
        Some(OddLine { number: at + 1, line: line.to_owned(), fault })
    });
    odd.take(MAX_ODD).collect()
}

/// What is wrong with a word that was meant as a SHA-256 or SHA-512.
fn fault(word: &str) -> Option<String> {
    let length = word.len();
    let (name, wanted) = [("SHA-256", LENGTHS[0]), ("SHA-512", LENGTHS[1])]
        .into_iter()
        .find(|(_, wanted)| length.abs_diff(*wanted) <= NEAR)?;
    let others = word.bytes().filter(|byte| !byte.is_ascii_hexdigit()).count();
    if others * 10 > length || (others == 0 && length == wanted) {
        return None;
    }
    Some(match length == wanted {
        true => format!("has a {name} with a letter in it that is no digit"),
        false => format!("has {length} digits, where a {name} has {wanted}"),
    })
}
