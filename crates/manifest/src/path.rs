//! Names of artifacts inside a release: relative paths that mean the same on every file system.
//!
//! Owns the rules of a path (DESIGN, section 4) and the key under which equivalent paths meet.
//! Touches no file system.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::serde_as_text;

/// Longest path, in bytes.
pub const MAX_PATH: usize = 1024;
/// Longest component, in bytes; ext4, XFS, APFS and NTFS all accept it.
pub const MAX_COMPONENT: usize = 255;

/// Device names of Windows, with or without an extension. Windows reads superscript digits as
/// digits.
const RESERVED: [&str; 30] = [
    "con", "conin$", "conout$", "prn", "aux", "nul", "com¹", "com²", "com³", "lpt¹", "lpt²",
    "lpt³", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// A path that no release may contain, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifact path {path:?}: {rule}")]
pub struct PathError {
    /// The path, cut after 200 characters.
    pub path: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl PathError {
    pub(crate) fn new(path: &str, rule: &'static str) -> Self {
        Self { path: path.chars().take(200).collect(), rule }
    }
}

/// A checked relative path with `/` between components.
///
/// ```
/// use perennial_manifest::ArtifactPath;
///
/// assert_eq!(ArtifactPath::parse("docs/guide.md")?.file_name(), "guide.md");
/// for hostile in ["../etc/passwd", "/etc/passwd", "a//b", "NUL.txt", "C:\\x"] {
///     assert!(ArtifactPath::parse(hostile).is_err());
/// }
/// # Ok::<(), perennial_manifest::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactPath(String);

impl ArtifactPath {
    /// Checks a path. Nothing is corrected, because a corrected name is another name.
    ///
    /// # Errors
    /// [`PathError`] with the rule that the path breaks.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let refuse = |rule| Err(PathError::new(path, rule));
        if path.is_empty() {
            return refuse("is empty");
        }
        if path.len() > MAX_PATH {
            return refuse("is longer than 1,024 bytes");
        }
        if path.starts_with('/') {
            return refuse("is absolute");
        }
        if path.contains('\\') {
            return refuse("contains a backslash, which separates components on Windows");
        }
        if path.chars().any(|c| c.is_control() || is_deceptive(c)) {
            return refuse("contains control or text-direction characters");
        }
        if path.chars().any(|c| matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
            return refuse(
                "contains one of : * ? \" < > |, which some file systems refuse or take for a \
                drive or stream",
            );
        }
        if !is_nfc(path) {
            return refuse("is not in Unicode normal form C");
        }
        for component in path.split('/') {
            if component.is_empty() {
                return refuse("has an empty component");
            }
            if component == "." || component == ".." {
                return refuse("has a component `.` or `..`");
            }
            if component.len() > MAX_COMPONENT {
                return refuse("has a component longer than 255 bytes");
            }
            if component.ends_with(['.', ' ']) {
                return refuse("has a component that ends in a dot or a space");
            }
            if component.starts_with(' ') {
                return refuse("has a component that begins with a space");
            }
            let stem = component.split('.').next().unwrap_or_default().trim_end();
            if RESERVED.contains(&stem.to_ascii_lowercase().as_str()) {
                return refuse("has a component that is a device name on Windows");
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The portable file name nearest to a name that a stranger chose, such as a web server: its
    /// last part, in normal form C, with `_` for each character that a path may not have. `None` if
    /// nothing of it can be part of a name.
    ///
    /// ```
    /// use perennial_manifest::ArtifactPath;
    ///
    /// let name = ArtifactPath::nearest("dist/tool 10:30.tgz").ok_or("no name")?;
    /// assert_eq!(name.as_str(), "tool 10_30.tgz");
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn nearest(name: &str) -> Option<Self> {
        let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let is_unfit = |c: char| {
            c.is_control()
                || is_deceptive(c)
                || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')
        };
        let plain: String = last.nfc().map(|c| if is_unfit(c) { '_' } else { c }).collect();
        let plain = plain.trim_start_matches(' ').trim_end_matches(['.', ' ']);
        if plain.is_empty() {
            return None;
        }
        // A device name of Windows is none with a letter before it.
        Self::parse(plain).or_else(|_| Self::parse(&format!("_{plain}"))).ok()
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, in order; never empty, `.` or `..`.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Paths with one key are the same file on some file system: it folds case and compatibility
    /// forms.
    #[must_use]
    pub fn twin_key(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase();
        }
        self.0
            .nfkc()
            .flat_map(char::to_lowercase)
            .nfkc()
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfc()
            .collect()
    }
}

/// Invisible characters that make a name look like another (Unicode Bidi_Control, zero width, BOM,
/// line separators).
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{061c}')
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromStr for ArtifactPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::parse(path)
    }
}

serde_as_text!(ArtifactPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_and_named() {
        let long_component = "a".repeat(256);
        let long_path = "abcd/".repeat(1000) + "e";
        let hostile = [
            "../../etc/x",
            "/etc/passwd",
            "a\0b",
            "a\nb",
            "a\u{1b}[31mb",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "",
            "trailing.",
            "trailing ",
            "a. /b",
            "C:\\x",
            "C:/x",
            "C:",
            "CON",
            "con.txt",
            "aux/b",
            "Lpt1.tar.gz",
            "COM¹.txt",
            "conout$",
            "nul ",
            "e\u{301}",
            "a\\b",
            "x\u{202e}gpj.exe",
            "x:stream",
            &long_component,
            &long_path,
        ];
        for path in hostile {
            let error = ArtifactPath::parse(path).expect_err(path);
            assert_eq!(error.path, path.chars().take(200).collect::<String>());
        }
        for good in [
            "a",
            "a/b.tar.gz",
            ".hidden",
            "docs/é.md",
            "kubekey-v3.1.0-linux-amd64.tar.gz",
            "a b/c",
            "console",
            "日本語.txt",
        ] {
            assert_eq!(ArtifactPath::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn equivalent_names_have_one_key() {
        let key = |path: &str| ArtifactPath::parse(path).unwrap().twin_key();
        assert_eq!(key("README"), key("readme"));
        assert_eq!(key("straße"), key("STRASSE"));
        assert_eq!(key("ﬁle"), key("file"));
        assert_ne!(key("a"), key("b"));
    }
}
