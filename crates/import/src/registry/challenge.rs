//! `WWW-Authenticate` as registries write it. RFC 9110 wants quotation marks around an address,
//! commas between parameters and no others; the tools that registries are tested with do not.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A way to be authorized that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case.
    pub(super) scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All challenges in a response's headers.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        values.flat_map(|value| parse(&String::from_utf8_lossy(value.as_bytes()))).collect()
    }
}

/// Parses a header's value. A word before `=` is a parameter, any other word begins a challenge.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let is_space = |c: char| c.is_whitespace() || c == ',';
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(|c: char| is_space(c) || c == '=').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match after.trim_start().strip_prefix('=') {
            Some(after) => {
                let (value, after) = value(after.trim_start());
                if let Some(last) = found.last_mut() {
                    last.parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            None => {
                let scheme = word.to_ascii_lowercase();
                found.push(Challenge { scheme, parameters: Vec::new() });
                rest = after;
            }
        }
        rest = rest.trim_start_matches(is_space);
    }
    found
}

/// A parameter's value, and the text after it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => {
                value.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_they_are_written() {
        let bearer = |text: &str| {
            let all = parse(text);
            let bearer = all.iter().find(|found| found.scheme == "bearer").unwrap();
            let text = |name| bearer.parameter(name).unwrap_or_default().to_owned();
            [text("realm"), text("service"), text("scope")]
        };
        let expected = ["https://a.test/token?x=1", "reg, istry", "repository:a:pull,push"];
        for text in [
            r#"Bearer realm="https://a.test/token?x=1",service="reg, istry",scope="repository:a:pull,push""#,
            r#"bearer Realm = "https://a.test/token?x=1" , SERVICE="reg, istry" scope="repository:a:pull,push","#,
            r#"Negotiate, Basic realm="b", BEARER realm=https://a.test/token?x=1,service="reg, istry",scope="repository:a:pull,push""#,
            r#"NTLM TlRMTVNTUAAC==, Bearer scope="repository:a:pull,push",service="reg\, istry",realm="https://a.test/token?x=1""#,
        ] {
            assert_eq!(bearer(text), expected, "{text}");
        }
        for text in ["Basic realm=/", "Basic", "BASIC realm=\"x\", charset=\"UTF-8\"", ", Basic"] {
            assert_eq!(parse(text)[0].scheme, "basic", "{text}");
        }
        for odd in ["", ",", "=", "=\"", "Basic realm=\"open", "a=b", "\u{e9}=\u{e9}\""] {
            parse(odd);
        }
    }
}
