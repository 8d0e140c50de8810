//! The next page that a response's `Link` headers name, in the forms that registries write.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

/// The page that comes after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// This is the last page.
    Nothing,
    /// The page at this address.
    At(Url),
    /// There is another page, but its address cannot be read: the list is not at its end.
    Unreadable(String),
}

/// The next page, asked of the registry itself: proxies make registries name a scheme or a host of
/// their own, and no other host is called for a list.
pub(super) fn next_page(at: &Url, headers: &HeaderMap) -> Next {
    let values = headers.get_all(LINK).iter();
    // A title may be in Latin-1, which costs no page.
    let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let Some(target) = texts.iter().flat_map(|text| links(text)).find_map(target) else {
        return Next::Nothing;
    };
    let Ok(named) = at.join(target) else { return Next::Unreadable(target.to_owned()) };
    let mut next = at.clone();
    next.set_path(named.path());
    next.set_query(named.query());
    Next::At(next)
}

/// The target of a link to a next page. Links without a relation are taken for one, as by skopeo.
fn target(link: &str) -> Option<&str> {
    let (target, params) = match link.trim().strip_prefix('<') {
        Some(rest) => {
            // A bracket that nothing closes costs no page.
            rest.split_once('>').or_else(|| rest.split_once(';')).unwrap_or((rest, ""))
        }
        None => link.split_once(';').unwrap_or((link, "")),
    };
    let target = target.trim();
    let mut relations = parts(params, ';').into_iter().filter_map(|param| {
        let (name, value) = param.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        name.trim().eq_ignore_ascii_case("rel").then_some(value)
    });
    let is_next = match relations.next() {
        Some(relation) => {
            relation.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
        }
        // An empty header is no link.
        None => !target.is_empty(),
    };
    is_next.then_some(target)
}

/// The links of one header.
fn links(header: &str) -> Vec<&str> {
    parts(header, ',')
}

/// The parts of a text between separators, of which those in brackets and quotes are none.
fn parts(text: &str, separator: char) -> Vec<&str> {
    let (mut found, mut from) = (Vec::new(), 0);
    let (mut in_brackets, mut in_quotes, mut is_escaped) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_quotes => is_escaped = true,
            '<' if !in_quotes => in_brackets = true,
            '>' if !in_quotes => in_brackets = false,
            '"' if !in_brackets => in_quotes = !in_quotes,
            c if c == separator && !in_brackets && !in_quotes => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[from..]);
    found
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn next(links: &[&[u8]]) -> Next {
        let at = Url::parse("http://127.0.0.1:5000/v2/app/tags/list?n=1000").unwrap();
        let headers = links.iter().map(|link| (LINK, HeaderValue::from_bytes(link).unwrap()));
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(name, value);
        }
        next_page(&at, &all)
    }

    #[test]
    fn the_next_page_is_requested_from_the_registry_itself() {
        let wanted = Url::parse("http://127.0.0.1:5000/v2/app/tags/list?last=v2").unwrap();
        for link in [
            "</v2/app/tags/list?last=v2>; rel=\"next\"",
            "<https://127.0.0.1:5000/v2/app/tags/list?last=v2>; rel=\"next\"",
            "<http://registry.internal/v2/app/tags/list?last=v2>; rel=next",
            "<//registry.internal/v2/app/tags/list?last=v2>;rel=NEXT",
            "/v2/app/tags/list?last=v2; rel=\"next\"",
            "</v2/app/tags/list>; rel=\"first\", </v2/app/tags/list?last=v2>; REL = \"last next\"",
            "<?last=v2>; title=\"a, b\"; rel=next",
            "<?last=v2>; title=\"a; rel=prev\"; type=\"x\\\"; rel=last\"; rel=next",
            "</v2/app/tags/list?last=v2>; rel='next'",
            "</v2/app/tags/list?last=v2 ; rel=\"next\"",
            "</v2/app/tags/list?last=v2>",
        ] {
            let wanted = Next::At(wanted.clone());
            assert_eq!(next(&[link.as_bytes()]), wanted, "{link}");
        }
        let first: &[u8] = b"</v2/app/tags/list>; rel=first";
        let latin: &[u8] = b"<?last=v2>; title=\"n\xe4chste\"; rel=next";
        assert_eq!(next(&[first, latin]), Next::At(wanted));
        for link in ["</v2/app/tags/list>; rel=\"prev\"", ""] {
            assert_eq!(next(&[link.as_bytes()]), Next::Nothing, "{link}");
        }
    }

    #[test]
    fn a_next_page_whose_address_cannot_be_read_is_not_the_end() {
        for link in ["<http://[/v2/app/tags/list?last=v2>; rel=next", "<https://:0/x>; rel=next"] {
            assert!(matches!(next(&[link.as_bytes()]), Next::Unreadable(_)), "{link}");
        }
        // An empty address is that of the page itself, so its reader finds a circle.
        assert!(matches!(next(&[b"<>; rel=next"]), Next::At(_)));
    }
}
