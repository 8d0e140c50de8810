//! Where bytes came from, as it may be published: of a URL, what names the thing.
//!
//! Owns which parts of a URL are taken for secrets, in any text: a user and a password, parts of a
//! query that are not known to name something, tokens in a path. Everything that is signed about an
//! upstream passes through here, because no signature can be taken back. Messages keep more: all of
//! a query that does not look like a secret. Cannot recognise a secret that looks like a name.

mod query;
mod token;

use crate::{ArtifactPath, Purl};

use query::Rule;
use token::{is_random, is_token};

/// Characters of a text in a remark on it, at most.
const SHOWN: usize = 200;
/// Characters that end a URL within a text: those that no URL has. A query may have any other.
const ENDS: [char; 3] = ['"', '<', '>'];
/// Characters that belong to the text after a URL, not to the URL.
const TRAILING: [char; 10] = ['.', ',', ';', ':', '!', ')', ']', '}', '\'', '`'];

/// A text as it may be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The text without what was taken for a secret.
    pub text: String,
    /// A description of each part that was left out, without its value.
    pub withheld: Vec<String>,
}

impl Origin {
    /// Stands for a part of a path that is not published.
    pub const REDACTED: &str = "REDACTED";

    /// A text, usually a URL, as it is signed: of the queries in it, only parts that are known to
    /// name something. A text without others is unchanged.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::written(text, Rule::Signed, 0)
    }

    /// A text for messages: of the queries in it, what does not look like a secret.
    #[must_use]
    pub fn shown(text: &str) -> Self {
        Self::written(text, Rule::Shown, 0)
    }

    /// A text with the URLs in it as they are, but for users and passwords.
    #[must_use]
    pub fn whole(text: &str) -> Self {
        Self::written(text, Rule::Whole, 0)
    }

    /// The target of a redirect: scheme, host and path at most, and nothing if its path has a
    /// secret. A redirect is made for one visit, so its query names nothing.
    #[must_use]
    pub fn of_target(url: &str) -> Option<String> {
        let end = url.find(['?', '#']).unwrap_or(url.len());
        let Self { text, withheld } = Self::of(&url[..end]);
        let in_path = withheld.iter().any(|part| part != USER && part != PASSWORD);
        (!in_path && !text.is_empty() && !is_random(&text)).then_some(text)
    }

    /// A path of a file without tokens, of which downloads take their names.
    #[must_use]
    pub fn of_path(path: &ArtifactPath) -> Self {
        let mut origin = Self::default();
        origin.path(path.as_str(), 0);
        origin
    }

    /// The text of a package URL without qualifiers that are secrets, or have one.
    #[must_use]
    pub fn of_purl(purl: &Purl) -> Self {
        let (head, qualifiers) = split_at_first(purl.as_str(), '?');
        let published = qualifiers.map(|all| query::published(all, Rule::Name, 0));
        let (kept, withheld) = published.unwrap_or_default();
        let mark = if kept.is_empty() { "" } else { "?" };
        Self { text: format!("{head}{mark}{kept}"), withheld }
    }

    /// A sentence for each part that was left out.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let end = self.text.char_indices().nth(SHOWN).map_or(self.text.len(), |(at, _)| at);
        let (text, more) = (&self.text[..end], if end < self.text.len() { "…" } else { "" });
        let said =
            move |part| format!("not signed, as it may be a secret: {part}, of {text}{more}");
        self.withheld.iter().map(said)
    }

    /// Whether nothing was left out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.withheld.is_empty()
    }

    /// `depth`: the number of URLs around the text.
    fn written(text: &str, rule: Rule, depth: u8) -> Self {
        let mut origin = Self::default();
        let mut rest = text;
        while let Some((start, end)) = next_url(rest) {
            origin.words(&rest[..start]);
            origin.url(&rest[start..end], rule, depth);
            rest = &rest[end..];
        }
        origin.words(rest);
        origin
    }

    fn withhold(&mut self, part: impl Into<String>) {
        let part = part.into();
        if !self.withheld.contains(&part) {
            self.withheld.push(part);
        }
    }

    /// A text between URLs: words that are tokens do not belong into it.
    fn words(&mut self, text: &str) {
        let is_end = |c: char| c.is_whitespace() || ENDS.contains(&c) || ",;()[]{}='`|".contains(c);
        for piece in text.split_inclusive(is_end) {
            let word = piece.trim_end_matches(is_end).trim_end_matches(TRAILING);
            if is_token(word) {
                self.withhold("a token");
                self.text += Self::REDACTED;
                self.text += &piece[word.len()..];
            } else {
                self.text += piece;
            }
        }
    }

    fn url(&mut self, url: &str, rule: Rule, depth: u8) {
        let (head, fragment) = split_at_first(url, '#');
        let (head, query) = split_at_first(head, '?');
        let authority = head.find("://").map_or(0, |at| at + 3);
        let path = head[authority..].find('/').map_or(head.len(), |at| authority + at);
        self.text += &head[..authority];
        self.authority(&head[authority..path]);
        if rule == Rule::Whole {
            self.text += &url[path..];
            return;
        }
        self.path(&head[path..], depth);
        if let Some(query) = query {
            let (kept, withheld) = query::published(query, rule, depth);
            withheld.into_iter().for_each(|part| self.withhold(part));
            if !kept.is_empty() || query.is_empty() {
                self.text.push('?');
                self.text += &kept;
            }
        }
        if let Some(fragment) = fragment {
            if query::published(fragment, Rule::Shown, depth).1.is_empty() {
                self.text.push('#');
                self.text += fragment;
            } else {
                self.withhold("the fragment");
            }
        }
    }

    fn authority(&mut self, authority: &str) {
        let Some((user, host)) = authority.rsplit_once('@') else {
            self.text += authority;
            return;
        };
        // `docker://name@sha256:…` names an image, and `git@` is the user of every forge.
        if ["sha256:", "sha512:"].iter().any(|digest| host.starts_with(digest)) || user == "git" {
            self.text += authority;
            return;
        }
        self.withhold(if user.contains(':') { PASSWORD } else { USER });
        self.text += host;
    }

    fn path(&mut self, path: &str, depth: u8) {
        for piece in path.split_inclusive('/') {
            let (segment, slash) = match piece.strip_suffix('/') {
                Some(segment) => (segment, "/"),
                None => (piece, ""),
            };
            let mut parameters = segment.split(';');
            let name = parameters.next().unwrap_or_default();
            let is_signature = name.contains('=')
                && !query::published(&name.replace('~', "&"), Rule::Shown, depth).1.is_empty();
            if is_signature || is_token(&query::decoded(name)) {
                self.withhold("a token in the path");
                self.text += Self::REDACTED;
            } else {
                self.text += name;
            }
            for parameter in parameters {
                let (_, withheld) = query::published(parameter, Rule::Shown, depth);
                if withheld.is_empty() {
                    self.text.push(';');
                    self.text += parameter;
                }
                withheld.into_iter().for_each(|part| self.withhold(part));
            }
            self.text += slash;
        }
    }
}

const USER: &str = "a user name";
const PASSWORD: &str = "a user name and a password";

fn split_at_first(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

/// Where the first URL in a text begins and ends.
fn next_url(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let scheme = text[..at].trim_end_matches(is_scheme).len();
        // A scheme begins with a letter.
        let letter = text[scheme..at].find(|c: char| c.is_ascii_alphabetic());
        if let Some(start) = letter.map(|letter| scheme + letter) {
            let is_end = |c: char| c.is_whitespace() || c.is_control() || ENDS.contains(&c);
            let end = text[at..].find(is_end).map_or(text.len(), |end| at + end);
            let end = text[..end].trim_end_matches(TRAILING).len().max(at + 3);
            return Some((start, end));
        }
        from = at + 3;
    }
    None
}

#[cfg(test)]
mod tests;
