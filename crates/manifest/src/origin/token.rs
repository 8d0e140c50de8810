//! Words that are credentials by their looks.

/// Beginnings of the tokens of well-known services.
const PREFIXES: [&str; 31] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glptt-",
    "gloas-",
    "glft-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "npm_",
    "pypi-",
    "dop_v1_",
    "hf_",
    "sk_live_",
    "rk_live_",
    "dckr_pat_",
    "dckr_oat_",
    "hvs.",
    "ATATT",
    "ya29.",
    "AKCp",
    "cmVmdGtuO",
    "sk-",
];
/// Beginnings of the ids of access keys of Amazon, which have 20 characters.
const ACCESS_KEYS: [&str; 2] = ["AKIA", "ASIA"];
/// Characters after a prefix that make a word a token.
const LEAST: usize = 12;
/// Letters and digits in a row that no name has in upper and lower case.
const RANDOM: usize = 32;

/// Whether a word is a token: a JSON web token, or one of a well-known service.
pub(super) fn is_token(word: &str) -> bool {
    let word = word.strip_prefix("Bearer ").or(word.strip_prefix("Basic ")).unwrap_or(word);
    is_json_web_token(word)
        || is_access_key(word)
        || PREFIXES.iter().any(|prefix| {
            let rest = word.strip_prefix(prefix).unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
            // Names of packages may begin so; they are words between separators.
            let longest = rest.split(['-', '_', '.']).map(str::len).max().unwrap_or_default();
            longest >= LEAST && rest.chars().all(plain) && rest.chars().any(|c| c.is_ascii_digit())
        })
}

/// Whether a value has a long run of letters and digits in a random mix.
pub(super) fn is_random(value: &str) -> bool {
    value.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        run.len() >= RANDOM
            && run.chars().any(|c| c.is_ascii_uppercase())
            && run.chars().any(|c| c.is_ascii_lowercase())
            && run.chars().any(|c| c.is_ascii_digit())
    })
}

fn is_json_web_token(word: &str) -> bool {
    let is_part = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c));
    // The object that it begins with, in base64: `{"`.
    word.starts_with("eyJ")
        && word.len() >= 20
        && word.contains('.')
        && word.split('.').all(is_part)
}

fn is_access_key(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    word.len() == 20
        && word.chars().all(plain)
        && ACCESS_KEYS.iter().any(|prefix| word.starts_with(prefix))
}
