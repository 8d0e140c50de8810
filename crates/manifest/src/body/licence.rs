//! Licences: SPDX expressions, and the one spelling of each.
//!
//! The identifiers and the grammar are those of the `spdx` crate. An identifier keeps its meaning
//! when SPDX deprecates it, so a deprecated one is valid.

use spdx::ParseMode;

use super::{BodyError, text};

/// The licence of a release whose publisher states none, in the words of SPDX.
pub const NO_ASSERTION: &str = "NOASSERTION";

/// SPDX's grammar, with deprecated identifiers and their `+`.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

/// The prefixes of names that a document defines itself.
const DOCUMENT: &str = "DocumentRef-";
const REFERENCES: [&str; 2] = ["LicenseRef-", "AdditionRef-"];

/// Checks the licence of a signed release. `NOASSERTION` states that the licence is unknown.
pub(super) fn check(licence: &str) -> Result<(), BodyError> {
    text("license", licence)?;
    if licence == NO_ASSERTION {
        return Ok(());
    }
    parse(licence)
}

/// The one spelling of an SPDX licence expression: identifiers as in SPDX's list, whose case does
/// not matter, operators in capitals, single spaces.
///
/// ```
/// use perennial_manifest::body::licence;
///
/// assert_eq!(licence(" mit or  (apache-2.0 and gpl-2.0+) ")?, "MIT OR (Apache-2.0 AND GPL-2.0+)");
/// assert!(licence("LicenseRef-").is_err());
/// # Ok::<(), perennial_manifest::BodyError>(())
/// ```
///
/// # Errors
/// [`BodyError::Licence`] if the text is not an SPDX expression.
pub fn licence(expression: &str) -> Result<String, BodyError> {
    let given = expression.trim();
    text("license", given)?;
    if given.eq_ignore_ascii_case(NO_ASSERTION) {
        return Ok(NO_ASSERTION.to_owned());
    }
    let mut spelled = String::with_capacity(given.len());
    let spaced = given.replace('(', " ( ").replace(')', " ) ");
    for word in spaced.split_whitespace() {
        let joins = word == ")" || spelled.is_empty() || spelled.ends_with('(');
        if !joins {
            spelled.push(' ');
        }
        spelled.push_str(&spell(word).map_err(|reason| refused(given, reason))?);
    }
    parse(&spelled)?;
    Ok(spelled)
}

fn parse(expression: &str) -> Result<(), BodyError> {
    let error = |error: spdx::ParseError| refused(expression, error.reason.to_string());
    spdx::Expression::parse_mode(expression, MODE).map(drop).map_err(error)
}

fn refused(text: &str, reason: String) -> BodyError {
    BodyError::Licence { text: text.to_owned(), reason }
}

/// A word of an expression in SPDX's spelling, or the reason why it is none.
fn spell(word: &str) -> Result<String, String> {
    let named = |name: &str, known: &'static str| known.eq_ignore_ascii_case(name);
    let operators = ["AND", "OR", "WITH", "(", ")"];
    if let Some(operator) = operators.into_iter().find(|known| named(word, known)) {
        return Ok(operator.to_owned());
    }
    let name = word.strip_suffix('+').unwrap_or(word);
    let licences = || spdx::identifiers::LICENSES.iter().map(|licence| licence.name);
    if let Some(known) = licences().find(|known| named(word, known)) {
        return Ok(known.to_owned());
    }
    if let Some(known) = licences().find(|known| named(name, known)) {
        return Ok(format!("{known}{}", &word[name.len()..]));
    }
    let mut exceptions = spdx::identifiers::EXCEPTIONS.iter().map(|exception| exception.name);
    if let Some(known) = exceptions.find(|known| named(word, known)) {
        return Ok(known.to_owned());
    }
    if let Some(reference) = reference(word)? {
        return Ok(reference);
    }
    Err(match spdx::imprecise_license_id(word) {
        Some((id, length)) if length == word.len() => {
            format!("{word} is not an SPDX identifier; write {}", id.name)
        }
        _ => format!("{word} is not an SPDX identifier; see https://spdx.org/licenses"),
    })
}

/// A name that a document defines, with its prefixes in SPDX's spelling: `LicenseRef-mine`,
/// `DocumentRef-theirs:LicenseRef-mine`.
fn reference(word: &str) -> Result<Option<String>, String> {
    let (document, name) = match word.split_once(':') {
        Some((document, name)) => (Some(document), name),
        None => (None, word),
    };
    let part = |text: &str, prefix: &'static str| -> Option<String> {
        let head = text.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| text[prefix.len()..].to_owned())
    };
    let Some((prefix, id)) = REFERENCES.iter().find_map(|p| Some((p, part(name, p)?))) else {
        return Ok(None);
    };
    let document = match document.map(|text| part(text, DOCUMENT)) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => return Ok(None),
    };
    let is_id = |id: &String| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        !id.is_empty() && id.bytes().all(plain)
    };
    if !is_id(&id) || document.as_ref().is_some_and(|id| !is_id(id)) {
        return Err(format!(
            "{word} lacks a name of letters, digits, `-` and `.` after its prefix"
        ));
    }
    let document = document.map(|id| format!("{DOCUMENT}{id}:")).unwrap_or_default();
    Ok(Some(format!("{document}{prefix}{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_expressions_of_any_age_and_case_have_one_spelling() {
        for (given, spelled) in [
            ("MIT", "MIT"),
            ("mit", "MIT"),
            ("  MIT  ", "MIT"),
            ("GPL-2.0", "GPL-2.0"),
            ("gpl-2.0+", "GPL-2.0+"),
            ("LGPL-2.1+", "LGPL-2.1+"),
            ("GPL-2.0-or-later", "GPL-2.0-or-later"),
            ("apache-2.0+", "Apache-2.0+"),
            ("ecos-2.0", "eCos-2.0"),
            ("gpl-2.0-with-classpath-exception", "GPL-2.0-with-classpath-exception"),
            (
                "gpl-2.0-only with CLASSPATH-exception-2.0",
                "GPL-2.0-only WITH Classpath-exception-2.0",
            ),
            ("mit  or(apache-2.0 And bsd-3-clause)", "MIT OR (Apache-2.0 AND BSD-3-Clause)"),
            ("licenseref-Mine", "LicenseRef-Mine"),
            ("documentref-a:licenseref-b.1", "DocumentRef-a:LicenseRef-b.1"),
            ("noassertion", NO_ASSERTION),
        ] {
            assert_eq!(licence(given).as_deref(), Ok(spelled), "{given:?}");
            assert_eq!(check(spelled), Ok(()), "{spelled:?}");
            assert_eq!(licence(spelled).as_deref(), Ok(spelled), "{spelled:?}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (given, reason) in [
            ("LicenseRef-", "lacks a name"),
            ("LicenseRef-a_b", "lacks a name"),
            ("DocumentRef-:LicenseRef-x", "lacks a name"),
            ("apache2", "write Apache-2.0"),
            ("Proprietary", "not an SPDX identifier"),
            ("MIT OR", "SPDX expression"),
            ("MIT Apache-2.0", "SPDX expression"),
            ("MIT +", "not an SPDX identifier"),
            ("(MIT", "SPDX expression"),
        ] {
            let error = licence(given).expect_err(given).to_string();
            assert!(error.contains(reason), "{given:?}: {error}");
        }
        assert!(matches!(licence("   "), Err(BodyError::Field("license"))));
    }

    #[test]
    fn licences_signed_before_stay_readable() {
        for signed in ["  MIT  ", "LicenseRef-", "MIT OR Apache-2.0"] {
            assert_eq!(check(signed), Ok(()), "{signed:?}");
        }
    }
}
