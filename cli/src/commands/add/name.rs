//! The name of the release to add, as the options give it.

use std::path::{Path, PathBuf};

use perennial_manifest::Purl;

use super::AddArgs;
use crate::failure::CommandError;

/// The release's package URL, or a usage error with a suggested command line.
pub(super) fn name_of(args: &AddArgs) -> Result<Purl, CommandError> {
    let purl = match (&args.purl, &args.name, &args.version) {
        (Some(purl), ..) => Purl::parse(purl),
        (None, Some(name), Some(version)) => Purl::generic(name, version),
        _ => {
            return Err(CommandError::usage(
                "a release needs a name: give --name NAME and --version VERSION, or --purl PURL",
                format!("perennial add {}", suggestion(&args.sources)),
            ));
        }
    };
    let purl = purl.map_err(|error| {
        CommandError::usage(
            error.to_string(),
            "a package URL looks like pkg:generic/kubekey@v3.1.0",
        )
    })?;
    if purl.version().is_none() {
        return Err(CommandError::usage(
            format!("{purl} has no version, and a release is one version of one thing"),
            format!("--purl {purl}@VERSION"),
        ));
    }
    Ok(purl)
}

/// A guess of name and version from the first path, for the hint.
fn suggestion(paths: &[PathBuf]) -> String {
    let first = paths.first().map(PathBuf::as_path).unwrap_or(Path::new("PATH"));
    let stem =
        first.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = [".tar.gz", ".tgz", ".zip", ".crate"]
        .iter()
        .find_map(|end| stem.strip_suffix(end))
        .unwrap_or(&stem);
    let (name, version) = split_version(stem).unwrap_or(("NAME", "VERSION"));
    format!("{} --name {name} --version {version}", first.display())
}

/// Splits `kubekey-v3.1.0` into name and version.
fn split_version(stem: &str) -> Option<(&str, &str)> {
    stem.match_indices(['-', '_', '@']).find_map(|(at, _)| {
        let (name, version) = (&stem[..at], &stem[at + 1..]);
        let number = version.strip_prefix('v').unwrap_or(version);
        (!name.is_empty() && number.starts_with(|c: char| c.is_ascii_digit()))
            .then_some((name, version))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_guessed_for_the_hint() {
        for (path, expected) in [
            ("./kubekey-v3.1.0/", "./kubekey-v3.1.0/ --name kubekey --version v3.1.0"),
            ("serde-1.0.200.crate", "serde-1.0.200.crate --name serde --version 1.0.200"),
            ("a-b-2.0-rc1.tar.gz", "a-b-2.0-rc1.tar.gz --name a-b --version 2.0-rc1"),
            ("cache", "cache --name NAME --version VERSION"),
        ] {
            assert_eq!(suggestion(&[path.into()]), expected);
        }
    }
}
