//! The lines of a checksum file, in the forms that tools write: `sha256sum` and `shasum`, BSD's
//! `sha256`, `openssl dgst`, `gpg --print-md`, `certutil -hashfile`, PowerShell's `Get-FileHash`.

use super::Sum;

/// Hex digits of a SHA-256 and of a SHA-512.
pub(super) const LENGTHS: [usize; 2] = [64, 128];
/// Hex digits of an MD5, which other numbers in a message have as well, and of a SHA-1.
const MD5: usize = 32;
const SHA1: usize = 40;
/// Names of other algorithms, without punctuation; some have digests of the same lengths.
const OTHERS: [&str; 26] = [
    "md5",
    "sha1",
    "sha224",
    "sha384",
    "sha2224",
    "sha2384",
    "sha3224",
    "sha3256",
    "sha3384",
    "sha3512",
    "sha512224",
    "sha512256",
    "sha2512256",
    "blake2b",
    "blake2b256",
    "blake2b512",
    "blake2s",
    "blake2s256",
    "blake3",
    "b2",
    "b3",
    "sm3",
    "rmd160",
    "ripemd160",
    "whirlpool",
    "keccak256",
];

/// A digest, and the text that says which file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) of: Named,
    pub(super) sum: Sum,
}

/// The way in which an entry names its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Not at all.
    Nowhere,
    /// By this path.
    Exactly(String),
    /// Somewhere in this text.
    Within(String),
}

impl Named {
    /// Whether the entry is about the file `name`, in whatever folder.
    pub(super) fn is(&self, name: &str) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Exactly(path) => path.rsplit(['/', '\\']).next() == Some(name),
            Self::Within(text) => mentions(text, name),
        }
    }
}

/// Whether a text contains a file name, and not merely as part of another.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~' | '%');
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + name.len()..]);
            !before.ends_with(part) && !after.starts_with(part)
        })
}

/// The text of a checksum file: UTF-8, or UTF-16 or UTF-32 as PowerShell writes it, without its
/// mark.
pub(super) fn text(bytes: &[u8]) -> String {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|two| unit([two[0], two[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let wider = |bytes: &[u8], unit: fn([u8; 4]) -> u32| -> String {
        let units = bytes.chunks_exact(4).map(|four| unit([four[0], four[1], four[2], four[3]]));
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    let text = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [1..=255, 0, 0, 0, ..] => wider(bytes, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=255, ..] => wider(bytes, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        // Without a mark: the first character of such a file is ASCII.
        [1..=255, 0, ..] => wide(bytes, u16::from_le_bytes),
        [0, 1..=255, ..] => wide(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.trim_start_matches('\u{feff}').to_owned()
}

/// All entries of a text.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    joined(text).iter().filter_map(|line| entry(line)).collect()
}

/// Whether a text has digits that may be a digest: some tool wrote a checksum, of whatever kind.
pub(super) fn has_digits(text: &str) -> bool {
    let is_long = |word: &str| matches!(word.len(), 56 | 64 | 96 | 128) && is_hex(word);
    text.split(|c: char| !c.is_alphanumeric()).any(is_long)
        || joined(text).iter().any(|line| trailing(line).is_some())
}

/// Whether a file that states no digest in a known form seems to be meant as a checksum file for
/// files of these names, rather than as the news that there is none: it is empty, or no text, or
/// has the digits of another digest, which a shorter one begins a line with or names a file beside.
pub(crate) fn is_attempt(bytes: &[u8], names: &[String]) -> bool {
    let text = text(bytes);
    let is_text = |c: char| c.is_whitespace() || !(c.is_control() || c == '\u{fffd}');
    let digits = |word: &str, least: usize| word.len() >= least && is_hex(word);
    let is_entry = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        digits(words.clone().next().unwrap_or_default(), MD5)
            || (names.iter().any(|name| mentions(line, name))
                && words.any(|word| digits(word, MD5)))
    };
    text.trim().is_empty()
        || !text.chars().all(is_text)
        || text.split(|c: char| !c.is_alphanumeric()).any(|word| digits(word, SHA1))
        || text.lines().map(str::trim).any(is_entry)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Lines, each with the groups of digits that continue it: gpg and certutil break long digests.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split(['\n', '\r', '\0']).filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_digits = words.iter().all(|word| is_hex(word));
        let is_whole = words.len() == 1 && LENGTHS.contains(&words[0].len());
        match lines.last_mut() {
            Some(last)
                if is_digits
                    && (last.ends_with(':')
                        || (line.starts_with(char::is_whitespace) && !is_whole)) =>
            {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}

/// Whether a word names SHA-256 or SHA-512 (`true`), or another algorithm (`false`).
pub(super) fn algorithm(word: &str) -> Option<bool> {
    let plain: String =
        word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "sha256" | "sha2256" | "sha512" | "sha2512" => Some(true),
        other => OTHERS.contains(&other).then_some(false),
    }
}

/// A digest in one word, with or without the name of its algorithm: `sha256:…`, `sha512-…`.
fn digest(word: &str) -> Option<Sum> {
    let plain = match word.find([':', '-']) {
        Some(at) => match algorithm(&word[..at]) {
            Some(true) => &word[at + 1..],
            Some(false) => return None,
            None => word,
        },
        None => word,
    };
    // Pairs of digits with colons between them, as `openssl dgst -c` writes.
    if plain.contains(':') && plain.split(':').all(|pair| pair.len() == 2) {
        return Sum::parse(&plain.replace(':', ""));
    }
    Sum::parse(plain)
}

/// The digest that ends a line, as one word or in groups of digits, and the text before it.
fn trailing(line: &str) -> Option<(&str, Sum)> {
    let (mut rest, mut digits) = (line.trim_end(), String::new());
    loop {
        let start = rest.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = rest.get(start..)?;
        let before = rest[..start].trim_end();
        if digits.is_empty()
            && let Some(sum) = digest(word)
        {
            return Some((before, sum));
        }
        if !is_hex(word) || digits.len() + word.len() > LENGTHS[1] {
            // A shorter digest that fills the line this far is the whole of it.
            return LENGTHS.contains(&digits.len()).then(|| Some((rest, Sum::parse(&digits)?)))?;
        }
        digits.insert_str(0, word);
        rest = before;
        if rest.is_empty() {
            return LENGTHS.contains(&digits.len()).then(|| Some((rest, Sum::parse(&digits)?)))?;
        }
    }
}

/// Parses one line; `None` if it states no SHA-256 or SHA-512.
pub(super) fn entry(line: &str) -> Option<Entry> {
    // A leading backslash marks escaped line breaks and backslashes in the name, which no accepted
    // file name contains.
    let line = line.trim().trim_start_matches('\\');
    let exactly = |path: &str| Named::Exactly(path.trim_matches(['"', '\'', '`']).to_owned());
    // `SHA256 (name) = digest`, with or without the spaces.
    if let Some((before, after)) = line.rsplit_once(')')
        && let Some(said) = after.trim_start().strip_prefix('=')
        && let Some((word, name)) = before.split_once('(')
        && let Some(sum) = digest(said.trim())
    {
        return (algorithm(word) != Some(false)).then(|| Entry { of: exactly(name), sum });
    }
    let mut line = line;
    // `SHA256 digest name`, `sha256: digest`.
    let first = line.split(char::is_whitespace).next().unwrap_or_default();
    if let Some(is_known) = algorithm(first) {
        if !is_known {
            return None;
        }
        line = line[first.len()..].trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    }
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if let Some(sum) = digest(first.trim_end_matches([':', ','])) {
        let rest = rest.trim();
        let name = rest.strip_prefix('*').unwrap_or(rest);
        let of = if name.is_empty() { Named::Nowhere } else { exactly(name) };
        return Some(Entry { of, sum });
    }
    if let Some((before, sum)) = trailing(line) {
        let mut before = before.trim_end_matches([':', '=', ',']).trim_end();
        let last = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        match algorithm(last) {
            Some(false) => return None,
            Some(true) => before = before[..before.len() - last.len()].trim_end(),
            None => {}
        }
        let before = before.trim_end_matches(':').trim_end();
        let of = match before {
            "" => Named::Nowhere,
            text if text.contains(char::is_whitespace) => Named::Within(text.to_owned()),
            name => exactly(name),
        };
        return Some(Entry { of, sum });
    }
    among(line)
}

/// The only digest among the words of a line, for forms such as JSON, tables and lists.
fn among(line: &str) -> Option<Entry> {
    let words = || line.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.'));
    if words().any(|word| algorithm(word) == Some(false)) {
        return None;
    }
    let mut digests =
        words().filter(|word| LENGTHS.contains(&word.len())).filter_map(Sum::parse_hex);
    let sum = digests.next()?;
    digests.all(|other| other == sum).then(|| Entry { of: Named::Within(line.to_owned()), sum })
}
