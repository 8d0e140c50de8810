//! The table: one row per request, with the differences and the sentence that justifies them.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::Sentence;

/// Fields of a response. Fields not listed are empty.
pub(crate) type Said = Vec<(&'static str, String)>;

/// An expected difference.
struct Expected {
    field: &'static str,
    ours: String,
    theirs: String,
    why: &'static Sentence,
    /// Set if the difference may be absent.
    chance: bool,
}

/// The result of one request.
pub(crate) struct Row {
    title: String,
    /// The differing fields: name, ours, theirs.
    found: Vec<(&'static str, String, String)>,
    expected: Vec<Expected>,
}

impl Row {
    pub(crate) fn new(title: String, found: Vec<(&'static str, String, String)>) -> Self {
        Self { title, found, expected: Vec::new() }
    }

    /// Expects the answers to differ in these fields, as the sentence allows or demands.
    pub(crate) fn differs(
        &mut self,
        ours: Said,
        theirs: Said,
        why: &'static Sentence,
    ) -> &mut Self {
        let mut ours: BTreeMap<_, _> = ours.into_iter().collect();
        let mut theirs: BTreeMap<_, _> = theirs.into_iter().collect();
        let both: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
        for field in both {
            let ours = ours.remove(field).unwrap_or_default();
            let theirs = theirs.remove(field).unwrap_or_default();
            if ours != theirs {
                self.expected.push(Expected { field, ours, theirs, why, chance: false });
            }
        }
        self
    }

    /// Accepts any difference, because the reference's answer is random.
    pub(crate) fn may_differ(
        &mut self,
        field: &'static str,
        ours: &str,
        theirs: &str,
        why: &'static Sentence,
    ) -> &mut Self {
        let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
        self.expected.push(Expected { field, ours, theirs, why, chance: true });
        self
    }

    /// The differences by justifying sentence: the node's value and the reference's.
    fn differences(&self) -> BTreeMap<String, (String, String)> {
        let mut all: BTreeMap<String, (String, String)> = BTreeMap::new();
        for found in &self.found {
            let why = self.expected.iter().find(|expected| expected.is(found));
            let why =
                why.map_or_else(|| "**unexpected**".into(), |expected| expected.why.to_string());
            let (ours, theirs) = all.entry(why).or_default();
            for (said, value) in [(ours, &found.1), (theirs, &found.2)] {
                let value = if value.is_empty() { "none" } else { value };
                *said +=
                    &format!("{}{}: {value}", if said.is_empty() { "" } else { "; " }, found.0);
            }
        }
        all
    }

    /// The unexpected differences of this row.
    fn wrong(&self) -> Vec<String> {
        let unexpected =
            self.found.iter().filter(|found| !self.expected.iter().any(|e| e.is(found)));
        let vanished = self
            .expected
            .iter()
            .filter(|e| !e.chance && !self.found.iter().any(|found| e.is(found)));
        let unexpected = unexpected.map(|(field, ours, theirs)| {
            format!("unexpected: {field}: ours {ours:?}, theirs {theirs:?}")
        });
        let vanished = vanished.map(|e| {
            format!("expected, not found: {}: ours {:?}, theirs {:?}", e.field, e.ours, e.theirs)
        });
        unexpected.chain(vanished).collect()
    }
}

impl Expected {
    fn is(&self, (field, ours, theirs): &(&str, String, String)) -> bool {
        *field == self.field && *ours == self.ours && *theirs == self.theirs
    }
}

/// All rows as text and cells, and their unexpected differences.
pub(crate) fn table(rows: &[Row]) -> (String, Vec<String>) {
    let equal = rows.iter().filter(|row| row.found.is_empty()).count();
    let differ = rows.len() - equal;
    let mut table = format!(
        "{} requests to both registries: {equal} answered equally, {differ} with differences.\n\n\
         | # | request | ours | reference | why ours |\n|---|---|---|---|---|\n",
        rows.len()
    );
    let mut wrong = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        for (why, (ours, theirs)) in row.differences() {
            let cells = [row.title.as_str(), &ours, &theirs, &why].map(cell).join(" | ");
            table += &format!("| {} | {cells} |\n", at + 1);
        }
        wrong
            .extend(row.wrong().into_iter().map(|why| format!("{}. {}: {why}", at + 1, row.title)));
    }
    table += "\nAnswered equally:\n\n";
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.found.is_empty()) {
        table += &format!("{}. {}\n", at + 1, cell(&row.title));
    }
    (table, wrong)
}

/// Text escaped for a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', "␤")
}
