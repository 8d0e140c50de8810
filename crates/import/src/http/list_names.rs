//! Names of files that hold the checksums of a whole folder, or of one release in it.

use reqwest::Url;

/// Names that do not depend on what is in the folder.
pub(super) const OF_FOLDER: [&str; 11] = [
    "SHA256SUMS",
    "SHA512SUMS",
    "SHA256SUMS.txt",
    "SHA256SUM",
    "sha256sum.txt",
    "sha256sums.txt",
    "sha512sum.txt",
    "SHASUMS256.txt",
    "CHECKSUMS",
    "checksums.txt",
    "checksums.sha256",
];

/// The names that release tools build of a project and its version, which are in the name of a file
/// or of its folder: `tool_1.2.3_checksums.txt` (GoReleaser), `tool_1.2.3_SHA256SUMS` (HashiCorp).
pub(super) fn of_release(url: &Url) -> Vec<String> {
    let mut segments = url.path_segments().into_iter().flatten().rev();
    let file = segments.next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if file.is_empty() || !file.chars().all(is_plain) {
        return Vec::new();
    }
    let of_folder = segments.next().filter(|folder| is_version(folder));
    let (project, version) = match split(file) {
        Some((project, version)) => (project, Some(version)),
        None => (first_word(file), of_folder.map(|folder| folder.trim_start_matches('v'))),
    };
    let Some(version) = version else { return Vec::new() };
    let mut names = vec![
        format!("{project}_{version}_checksums.txt"),
        format!("{project}_{version}_SHA256SUMS"),
        format!("{project}_checksums.txt"),
    ];
    if file.starts_with(&format!("{project}-")) {
        names.push(format!("{project}-{version}-checksums.txt"));
    }
    names
}

/// The project and the version in `tool_1.2.3_linux_amd64.tar.gz`.
fn split(file: &str) -> Option<(&str, &str)> {
    let separators = file.match_indices(['_', '-']).map(|(at, _)| at);
    let start = separators.clone().find(|at| *at > 0 && is_version(&file[at + 1..]))?;
    let separator = &file[start..=start];
    let rest = &file[start + 1..];
    let end = rest.find(separator).unwrap_or_else(|| stem(rest).len());
    Some((&file[..start], &rest[..end]))
}

/// A name without the endings of archives.
fn stem(name: &str) -> &str {
    let endings = [".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tgz", ".zip", ".exe"];
    let found = endings.iter().find_map(|ending| name.strip_suffix(ending));
    found.unwrap_or(name)
}

fn first_word(file: &str) -> &str {
    stem(file).split(['_', '-']).next().unwrap_or_default()
}

/// Whether a text begins with a number of two parts or more, as versions do.
fn is_version(text: &str) -> bool {
    let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
    let begins = |part: Option<&str>| {
        part.is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()))
    };
    let first = parts.next();
    begins(first)
        && first.is_some_and(|first| first.bytes().all(|b| b.is_ascii_digit()))
        && begins(parts.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_release_tools_are_built_of_project_and_version() {
        for (url, expected) in [
            ("https://a.test/dl/v1.2.3/tool_1.2.3_linux_amd64.tar.gz", "tool_1.2.3_checksums.txt"),
            ("https://a.test/dl/v1.2.3/tool_Linux_x86_64.tar.gz", "tool_1.2.3_checksums.txt"),
            (
                "https://a.test/terraform/1.5.0/terraform_1.5.0_linux.zip",
                "terraform_1.5.0_SHA256SUMS",
            ),
            ("https://a.test/my-tool-0.9.1-rc1.tgz", "my-tool-0.9.1-checksums.txt"),
            ("https://a.test/my-tool_v0.9.1-rc1_arm64.tgz", "my-tool_v0.9.1-rc1_checksums.txt"),
            ("https://a.test/x/tool_1.0.tgz", "tool_checksums.txt"),
        ] {
            let names = of_release(&Url::parse(url).unwrap());
            assert!(names.iter().any(|name| name == expected), "{url}: {names:?}");
            assert!(names.len() <= 4, "{names:?}");
        }
        for none in ["https://a.test/x/", "https://a.test/a%20b-1.0.tgz", "https://a.test/a.tgz"] {
            assert!(of_release(&Url::parse(none).unwrap()).is_empty(), "{none}");
        }
    }
}
