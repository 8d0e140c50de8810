//! The options of `add` that have no effect on a source. They are refused by name: an option that
//! is silently ignored is a release that is not what its publisher believes.

use perennial_control::ImportSource;

use super::AddArgs;
use super::source::SourceArg;
use crate::failure::CommandError;

/// The kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Files,
    Urls,
    Images,
    Layout,
    Chart,
}

impl Kind {
    fn of(source: &SourceArg) -> Self {
        match source {
            SourceArg::Files(_) => Self::Files,
            SourceArg::Urls(_) | SourceArg::Upstream(ImportSource::Urls { .. }) => Self::Urls,
            SourceArg::Upstream(ImportSource::Images { .. }) => Self::Images,
            SourceArg::Upstream(ImportSource::Layout { .. }) => Self::Layout,
            SourceArg::Upstream(ImportSource::Chart { .. }) => Self::Chart,
        }
    }

    /// The kind in an error, and what decides about the release there instead of its options.
    const fn said(self) -> (&'static str, &'static str) {
        match self {
            Self::Files => ("files", "leave it out"),
            Self::Urls => ("URLs", "leave it out, or download the files and add those"),
            Self::Images => (
                "images from a registry",
                "leave it out; an image is named after its registry, repository and tag",
            ),
            Self::Layout => (
                "an image layout or archive",
                "leave it out; --ref REGISTRY/REPOSITORY:TAG names the image",
            ),
            Self::Chart => {
                ("charts", "leave it out; a chart is named after its repository, name and version")
            }
        }
    }
}

/// Refuses options that would have no effect on this source.
pub(super) fn check(args: &AddArgs, source: &SourceArg) -> Result<(), CommandError> {
    use Kind::{Chart, Files, Images, Layout, Urls};
    let kind = Kind::of(source);
    let options: [(&str, bool, &[Kind]); 17] = [
        ("--name", args.name.is_some(), &[Files, Urls]),
        ("--version", args.version.is_some(), &[Files, Urls]),
        ("--purl", args.purl.is_some(), &[Files, Urls]),
        ("--license-file", !args.license_file.is_empty(), &[Files]),
        ("--in-place", args.in_place, &[Files]),
        ("--exclude", !args.exclude.is_empty(), &[Files]),
        ("--dereference", args.dereference, &[Files]),
        ("--skip-unportable", args.skip_unportable, &[Files]),
        ("--tries", args.tries.is_some(), &[Urls, Images, Chart]),
        ("--allow-private", args.allow_private, &[Urls, Images, Chart]),
        ("--all-tags", args.all_tags, &[Images]),
        ("--platform", !args.platform.is_empty(), &[Images]),
        ("--ref", args.reference.is_some(), &[Layout]),
        ("--with-images", args.with_images, &[Chart]),
        ("--html", args.html, &[Urls]),
        ("--auth-file", args.auth_file.is_some(), &[Images]),
        ("--plain-http", args.plain_http, &[Urls, Images, Chart]),
    ];
    let vain: Vec<&str> = options
        .into_iter()
        .filter(|(_, given, kinds)| *given && !kinds.contains(&kind))
        .map(|(option, ..)| option)
        .collect();
    if vain.is_empty() {
        return Ok(());
    }
    let (what, instead) = kind.said();
    let have = if vain.len() == 1 { "has" } else { "have" };
    let options = vain.join(", ");
    Err(CommandError::usage(format!("{options} {have} no effect on {what}"), instead))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::source;
    use super::*;

    fn refused(source: &str, set: fn(&mut AddArgs)) -> Option<String> {
        let sources = source.split(' ').map(PathBuf::from).collect();
        let mut args = AddArgs { sources, ..AddArgs::default() };
        set(&mut args);
        let source = source::parse(&args).ok()?;
        check(&args, &source).err().map(|error| error.to_string())
    }

    #[test]
    fn options_without_effect_are_refused_by_name() {
        let named: fn(&mut AddArgs) = |args| {
            args.name = Some("n".into());
            args.version = Some("1".into());
        };
        let message = "--name, --version have no effect on images from a registry";
        assert_eq!(refused("docker://q/x:1", named).as_deref(), Some(message));
        assert!(refused("oci:/tmp:v1", named).is_some_and(|said| said.contains("layout")));
        assert!(refused("helm+https://c/ n@1", named).is_some_and(|said| said.contains("charts")));
        assert_eq!(refused("file", named), None);
        assert_eq!(refused("https://x/y", named), None);
        let platform: fn(&mut AddArgs) = |args| args.platform = vec!["linux/amd64".into()];
        assert_eq!(refused("file", platform).as_deref(), Some("--platform has no effect on files"));
        assert_eq!(refused("docker://q/x:1", platform), None);
        for source in ["docker://q/x:1", "https://x/y", "oci:/tmp:v1", "helm+https://c/ n@1"] {
            assert!(refused(source, |args| args.in_place = true).is_some(), "{source}");
        }
        assert_eq!(refused("file", |args| args.in_place = true), None);
        for source in ["file", "docker://q/x:1", "https://x/y"] {
            assert!(refused(source, |args| args.reference = Some("q/x:1".into())).is_some());
            assert!(refused(source, |args| args.with_images = true).is_some(), "{source}");
        }
        assert_eq!(refused("helm+https://c/ n@1", |args| args.with_images = true), None);
    }
}
