//! Artifacts that are not files: symbolic links inside the tree of a release, and empty
//! directories.
//!
//! Owns their media types, and the rule that keeps a link inside its tree. Signed lists can say
//! anything, so writers check a target again before they make the link.

use crate::ArtifactPath;
use crate::path::MAX_PATH;

/// Media type of a symbolic link; its bytes are the target.
pub const SYMLINK: &str = "inode/symlink";
/// Media type of an empty directory; it has no bytes.
pub const DIRECTORY: &str = "inode/directory";

/// A target that no link of a release may have, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a link to {target:?}, which {rule}")]
pub struct LinkError {
    /// The target, cut after 200 characters.
    pub target: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// Checks that the symbolic link at `path` stays inside the tree of its release, wherever that is
/// written: the target is relative and goes up first and down after, at most to the top of the
/// tree. As links of the tree obey this rule as well, no chain of them leads out.
///
/// ```
/// use perennial_manifest::{ArtifactPath, link};
///
/// let path = ArtifactPath::parse("dist/latest")?;
/// assert!(link::check(&path, "v3.1.0").is_ok() && link::check(&path, "../old/v1").is_ok());
/// for hostile in ["/etc/passwd", "../../x", "a/../../..", ""] {
///     assert!(link::check(&path, hostile).is_err());
/// }
/// # Ok::<(), perennial_manifest::PathError>(())
/// ```
///
/// # Errors
/// [`LinkError`] with the rule that the target breaks.
pub fn check(path: &ArtifactPath, target: &str) -> Result<(), LinkError> {
    let refuse = |rule| Err(LinkError { target: target.chars().take(200).collect(), rule });
    if target.is_empty() {
        return refuse("is empty");
    }
    if target.len() > MAX_PATH {
        return refuse("is longer than 1,024 bytes");
    }
    if target.starts_with('/') {
        return refuse("is absolute");
    }
    if target.contains('\\') || target.chars().any(char::is_control) {
        return refuse("contains a backslash or control characters");
    }
    let depth = path.components().count() - 1;
    let (mut up, mut down) = (0, false);
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if down => return refuse("goes down and up again"),
            ".." => up += 1,
            _ => down = true,
        }
    }
    if up > depth {
        return refuse("leaves the tree of the release");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_inside_the_tree() {
        let at = |path: &str, target: &str| check(&ArtifactPath::parse(path).unwrap(), target);
        for (path, target) in [
            ("latest", "v3.1.0"),
            ("latest", "./v3.1.0/"),
            ("a/b/c", "../../d"),
            ("a/b/c", ".."),
            ("a/b/c", "../.."),
            ("lib/libx.so", "libx.so.1"),
            ("x", "nowhere"),
            ("x", "..."),
        ] {
            assert_eq!(at(path, target), Ok(()), "{path} -> {target}");
        }
        for (path, target) in [
            ("latest", ""),
            ("latest", "/etc/passwd"),
            ("latest", ".."),
            ("latest", "../x"),
            ("a/b/c", "../../../x"),
            ("a/b", "x/../y"),
            ("a/b/c", "../d/../.."),
            ("a", "C:\\x"),
            ("a", "x\ny"),
            ("a", "x\0y"),
        ] {
            assert!(at(path, target).is_err(), "{path} -> {target}");
        }
        assert!(at("a", &"x/".repeat(600)).is_err());
    }
}
