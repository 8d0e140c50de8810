//! The caller's passwords for web servers: `~/.netrc`, or the file that `NETRC` names, as curl,
//! wget and git read it.
//!
//! Only an entry of the host itself counts: `default` would send a password to servers that the
//! user never named. `reqwest` keeps it from going to another host by a redirect.

use std::fs::File;
use std::io::{ErrorKind, Read};

use perennial_operation::Environment;
use reqwest::Url;

use crate::ImportError;

/// Longest file read, in bytes.
const MOST: u64 = 1 << 20;

/// A user and a password; deliberately not `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// The logins of the file, by host.
#[derive(Clone, Default)]
pub(super) struct Netrc(Vec<(String, Login)>);

impl Netrc {
    /// Reads the caller's file. One that is not there has no logins.
    ///
    /// # Errors
    /// [`ImportError::Usage`] if `NETRC` names a file that cannot be read.
    pub(super) fn of(environment: &Environment) -> Result<Self, ImportError> {
        let Some((path, is_named)) = environment.netrc() else { return Ok(Self::default()) };
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MOST).read_to_end(&mut text));
        match read {
            Ok(_) => Ok(Self::parse(&String::from_utf8_lossy(&text))),
            Err(error) if is_named && error.kind() != ErrorKind::NotFound => {
                Err(ImportError::Usage(format!("cannot read {}: {error}", path.display())))
            }
            Err(_) => Ok(Self::default()),
        }
    }

    /// The login for a URL that has none itself.
    pub(super) fn login(&self, url: &Url) -> Option<&Login> {
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = url.host_str()?;
        let found = self.0.iter().find(|(machine, _)| machine.eq_ignore_ascii_case(host));
        found.map(|(_, login)| login)
    }

    fn parse(text: &str) -> Self {
        let mut found: Vec<(Option<String>, Login)> = Vec::new();
        let mut words = Words { rest: text };
        while let Some(word) = words.next() {
            let entry = |machine| (machine, Login { user: String::new(), password: String::new() });
            match word.as_str() {
                "machine" => found.push(entry(words.next())),
                "default" => found.push(entry(None)),
                // A macro ends at an empty line.
                "macdef" => words.skip_paragraph(),
                field @ ("login" | "password" | "account") => {
                    let value = words.next().unwrap_or_default();
                    match (found.last_mut(), field) {
                        (Some((_, login)), "login") => login.user = value,
                        (Some((_, login)), "password") => login.password = value,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let named = found.into_iter().filter_map(|(machine, login)| Some((machine?, login)));
        Self(named.collect())
    }
}

/// The words of the file: between white space, or in quotes, with comments left out.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
        let mut word = String::new();
        let is_quoted = self.rest.starts_with('"');
        let mut letters = self.rest.char_indices().skip(usize::from(is_quoted));
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' if is_quoted => {
                    end = at + 1;
                    break;
                }
                '\\' if is_quoted => word.extend(letters.next().map(|(_, letter)| letter)),
                _ if !is_quoted && letter.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => word.push(letter),
            }
        }
        let there = !self.rest.is_empty();
        self.rest = &self.rest[end..];
        there.then_some(word)
    }

    fn skip_paragraph(&mut self) {
        self.rest = self.rest.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_login_of_its_entry_only() {
        let netrc = Netrc::parse(
            "# mine\nmachine a.test login me password s#cret\nmachine b.test\n  login \
             \"two words\"\n\tpassword \"a\\\"b\"\nmacdef init\ncd /pub\nmachine c.test login \
             no\n\nmachine D.test login d account x password p\ndefault login anonymous password x",
        );
        let login = |url: &str| {
            let login = netrc.login(&Url::parse(url).unwrap());
            login.map(|login| (login.user.clone(), login.password.clone()))
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(login("https://a.test/x"), pair("me", "s#cret"));
        assert_eq!(login("http://B.test:8080/x"), pair("two words", "a\"b"));
        assert_eq!(login("https://d.test/x"), pair("d", "p"));
        for none in
            ["https://c.test/", "https://x.a.test/", "https://you@a.test/", "https://e.test/"]
        {
            assert_eq!(login(none), None, "{none}");
        }
        assert_eq!(Netrc::parse("machine").0.len(), 0);
        assert!(
            Netrc::parse("machine a login \"open")
                .login(&Url::parse("http://a/").unwrap())
                .is_some()
        );
    }
}
