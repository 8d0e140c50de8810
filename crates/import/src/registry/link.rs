//! The next page that a response's `Link` headers name, in the forms that registries write.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

/// The address of the next page, asked of the registry itself: proxies make registries name a
/// scheme or a host of their own, and no other host is called for a list.
pub(super) fn next_page(at: &Url, headers: &HeaderMap) -> Option<Url> {
    let target = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(links)
        .find_map(|link| target(link).map(str::to_owned))?;
    let named = at.join(&target).ok()?;
    let mut next = at.clone();
    next.set_path(named.path());
    next.set_query(named.query());
    Some(next)
}

/// The target of a link to a next page. Links without a relation are taken for one, as by skopeo.
fn target(link: &str) -> Option<&str> {
    let (target, params) = match link.trim().strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None => link.split_once(';').unwrap_or((link, "")),
    };
    let mut relations = params.split(';').filter_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
    });
    let is_next = relations.next().is_none_or(|relation| {
        relation.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
    });
    let target = target.trim();
    (is_next && !target.is_empty()).then_some(target)
}

/// The links of one header, which commas outside brackets and quotes separate.
fn links(header: &str) -> Vec<&str> {
    let (mut found, mut from) = (Vec::new(), 0);
    let (mut in_brackets, mut in_quotes) = (false, false);
    for (at, c) in header.char_indices() {
        match c {
            '<' if !in_quotes => in_brackets = true,
            '>' if !in_quotes => in_brackets = false,
            '"' if !in_brackets => in_quotes = !in_quotes,
            ',' if !in_brackets && !in_quotes => {
                found.push(&header[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&header[from..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_requested_from_the_registry_itself() {
        let at = Url::parse("http://127.0.0.1:5000/v2/app/tags/list?n=1000").unwrap();
        let next = |link: &str| {
            let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
            next_page(&at, &headers).map(String::from)
        };
        let wanted = Some("http://127.0.0.1:5000/v2/app/tags/list?last=v2".to_owned());
        for link in [
            "</v2/app/tags/list?last=v2>; rel=\"next\"",
            "<https://127.0.0.1:5000/v2/app/tags/list?last=v2>; rel=\"next\"",
            "<http://registry.internal/v2/app/tags/list?last=v2>; rel=next",
            "/v2/app/tags/list?last=v2; rel=\"next\"",
            "</v2/app/tags/list>; rel=\"first\", </v2/app/tags/list?last=v2>; REL = \"last next\"",
            "<?last=v2>; title=\"a, b\"; rel=next",
            "</v2/app/tags/list?last=v2>",
        ] {
            assert_eq!(next(link), wanted, "{link}");
        }
        for link in ["</v2/app/tags/list>; rel=\"prev\"", "<>; rel=\"next\"", ""] {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
