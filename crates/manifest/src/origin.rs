//! Where bytes came from, as it may be published: of a URL, what names the thing.
//!
//! Owns which parts of a URL are taken for secrets, in any text: a user and a password, parts of a
//! query that look like a credential or a signature, tokens in a path. Everything that is signed or
//! shown about an upstream passes through here, because nobody can take back what is signed. Cannot
//! recognise a secret that looks like a name.

mod query;
mod token;

use crate::Purl;

use token::{is_random, is_token};

/// Characters of a text in a remark on it, at most.
const SHOWN: usize = 200;
/// Stands for a part of a path that is not published.
const REDACTED: &str = "REDACTED";
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
    /// A text, usually a URL, without the secrets of the URLs in it. A text without any is
    /// unchanged.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::written(text, false, 0)
    }

    /// As [`Origin::of`], with the queries as they are.
    #[must_use]
    pub fn with_query(text: &str) -> Self {
        Self::written(text, true, 0)
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

    /// The text of a package URL without qualifiers that are secrets, or have one.
    #[must_use]
    pub fn of_purl(purl: &Purl) -> Self {
        let (head, qualifiers) = split_at_first(purl.as_str(), '?');
        let (kept, withheld) = qualifiers.map(|all| query::published(all, 0)).unwrap_or_default();
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
    fn written(text: &str, keep_query: bool, depth: u8) -> Self {
        let mut origin = Self::default();
        let mut rest = text;
        while let Some((start, end)) = next_url(rest) {
            origin.words(&rest[..start]);
            origin.url(&rest[start..end], keep_query, depth);
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
                self.text += REDACTED;
                self.text += &piece[word.len()..];
            } else {
                self.text += piece;
            }
        }
    }

    fn url(&mut self, url: &str, keep_query: bool, depth: u8) {
        let (head, fragment) = split_at_first(url, '#');
        let (head, query) = split_at_first(head, '?');
        let authority = head.find("://").map_or(0, |at| at + 3);
        let path = head[authority..].find('/').map_or(head.len(), |at| authority + at);
        self.text += &head[..authority];
        self.authority(&head[authority..path]);
        self.path(&head[path..], depth);
        if let Some(query) = query {
            let (kept, withheld) = match keep_query {
                true => (query.to_owned(), Vec::new()),
                false => query::published(query, depth),
            };
            withheld.into_iter().for_each(|part| self.withhold(part));
            if !kept.is_empty() || query.is_empty() {
                self.text.push('?');
                self.text += &kept;
            }
        }
        if let Some(fragment) = fragment {
            if query::published(fragment, depth).1.is_empty() {
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
                && !query::published(&name.replace('~', "&"), depth).1.is_empty();
            if is_signature || is_token(&query::decoded(name)) {
                self.withhold("a token in the path");
                self.text += REDACTED;
            } else {
                self.text += name;
            }
            for parameter in parameters {
                let (_, withheld) = query::published(parameter, depth);
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
