//! The sources of an `add`: files, or an upstream that a node imports from. Their spelling decides.

use std::path::{Path, PathBuf};

use perennial_control::ImportSource;

use super::{AddArgs, spelling};
use crate::failure::CommandError;
use crate::paths::{absolute, existing};

/// The source of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SourceArg {
    /// Files and directories on this machine.
    Files(Vec<PathBuf>),
    /// URLs, as one release.
    Urls(Vec<String>),
    /// An upstream that names its releases itself.
    Upstream(ImportSource),
}

/// Parses the sources of one command, which all have to be of the same kind.
pub(super) fn parse(args: &AddArgs) -> Result<SourceArg, CommandError> {
    let mut given: Vec<PathBuf> = args.sources.clone();
    for list in &args.from {
        existing(list)?;
        let text = std::fs::read_to_string(list)
            .map_err(|source| CommandError::Io { what: list.display().to_string(), source })?;
        let lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        given.extend(lines.filter(|line| !line.is_empty()).map(|line| {
            let scheme = line.contains("://");
            PathBuf::from(if scheme { line.to_owned() } else { format!("docker://{line}") })
        }));
    }
    let given: Vec<PathBuf> = given.into_iter().map(spelling::plain).collect::<Result<_, _>>()?;
    let text: Vec<&str> = given.iter().map(|path| path.to_str().unwrap_or_default()).collect();
    let all = |prefixes: &[&str]| {
        text.iter().all(|text| prefixes.iter().any(|prefix| text.starts_with(prefix)))
    };
    let any = |prefixes: &[&str]| {
        text.iter().any(|text| prefixes.iter().any(|prefix| text.starts_with(prefix)))
    };
    if all(&["docker://"]) {
        return Ok(SourceArg::Upstream(ImportSource::Images {
            references: text.into_iter().map(str::to_owned).collect(),
            all_tags: args.all_tags,
            platforms: args.platform.clone(),
            auth_file: args.auth_file.as_deref().map(absolute).transpose()?,
        }));
    }
    if all(&["https://", "http://"]) {
        return Ok(SourceArg::Urls(text.into_iter().map(str::to_owned).collect()));
    }
    if let ([layout], true) = (&text[..], all(&LAYOUTS)) {
        return Ok(SourceArg::Upstream(ImportSource::Layout {
            layout: absolute_layout(layout)?,
            name: args.reference.clone(),
        }));
    }
    if let Some(repository) = text.first().and_then(|first| first.strip_prefix("helm+")) {
        let [_, chart] = &text[..] else {
            return Err(CommandError::usage(
                "a Helm repository needs the name of exactly one chart",
                "perennial add helm+https://charts.example.org/ NAME[@VERSION]",
            ));
        };
        let (name, version) = match chart.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (*chart, None),
        };
        return Ok(SourceArg::Upstream(ImportSource::Chart {
            repository: repository.to_owned(),
            name: name.to_owned(),
            version,
            with_images: args.with_images,
        }));
    }
    if any(&["containers-storage:"]) {
        return Err(CommandError::usage(
            "podman's storage is not read directly",
            "run `podman save --format oci-archive -o image.tar IMAGE`, then `perennial add \
             oci-archive:image.tar`",
        ));
    }
    if any(&["docker://", "https://", "http://", "helm+"]) || any(&LAYOUTS) {
        return Err(CommandError::usage(
            "the sources of one command must be of one kind: files, URLs, images, or one layout or \
             archive",
            "add each kind with a command of its own",
        ));
    }
    for source in &text {
        if looks_like_image(source) && !Path::new(source).exists() {
            return Err(CommandError::usage(
                format!("{source}: there is no such file or directory"),
                format!("for the image: perennial add docker://{source}"),
            ));
        }
    }
    Ok(SourceArg::Files(given))
}

/// Whether a text is the name of an image: it begins with a registry, or ends with a tag or digest.
fn looks_like_image(text: &str) -> bool {
    let Some((first, rest)) = text.split_once('/') else { return false };
    let registry = first == "localhost" || first.contains(['.', ':']);
    let tagged = rest.rsplit('/').next().is_some_and(|name| name.contains(':'));
    let path = !first.is_empty() && first.chars().any(char::is_alphanumeric);
    path && !text.contains("//") && !rest.is_empty() && (registry || tagged)
}

/// Prefixes of images on this machine.
const LAYOUTS: [&str; 3] = ["oci:", "oci-archive:", "docker-archive:"];

/// Makes the path in `oci:DIR[:TAG]` and similar forms absolute, because the node runs in a
/// different working directory. The name of an image may have colons, as the path may: the shortest
/// path that leads to such an archive counts.
fn absolute_layout(text: &str) -> Result<String, CommandError> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let is_one = |at: &usize| match kind {
        "oci" => Path::new(&rest[..*at]).is_dir(),
        _ => Path::new(&rest[..*at]).is_file(),
    };
    let mut ends = rest.match_indices(':').map(|(at, _)| at).filter(|at| *at > 0);
    let whole = Path::new(rest).exists();
    let end = ends.clone().find(is_one).or_else(|| ends.next()).filter(|_| !whole);
    let (path, image) = match end {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let path = existing(Path::new(path))?;
    let Some(path) = path.to_str() else {
        return Err(CommandError::usage(
            format!("{}: the path is not UTF-8", path.display()),
            "rename it",
        ));
    };
    Ok(match image {
        Some(image) => format!("{kind}:{path}:{image}"),
        None => format!("{kind}:{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sources: &[&str]) -> Result<SourceArg, CommandError> {
        parse(&AddArgs {
            sources: sources.iter().map(PathBuf::from).collect(),
            ..AddArgs::default()
        })
    }

    #[test]
    fn the_form_of_a_source_decides_its_kind() {
        assert_eq!(read(&["a", "b"]).ok(), Some(SourceArg::Files(vec!["a".into(), "b".into()])));
        assert_eq!(read(&["https://x/y"]).ok(), Some(SourceArg::Urls(vec!["https://x/y".into()])));
        let image = ImportSource::Images {
            references: vec!["docker://q/x:1".into()],
            all_tags: false,
            platforms: Vec::new(),
            auth_file: None,
        };
        assert_eq!(read(&["docker://q/x:1"]).ok(), Some(SourceArg::Upstream(image)));
        let Ok(SourceArg::Upstream(ImportSource::Layout { layout, .. })) = read(&["oci:/tmp:v1"])
        else {
            panic!("a layout")
        };
        assert_eq!(layout, "oci:/tmp:v1");
        assert!(
            read(&["file:///a", "b"]).ok() == Some(SourceArg::Files(vec!["/a".into(), "b".into()]))
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("saved.tar");
        std::fs::write(&file, "").unwrap();
        for image in ["", ":a.test:5000/x:v1", ":@1", ":v1"] {
            let source = format!("docker-archive:{}{image}", file.display());
            let Ok(SourceArg::Upstream(ImportSource::Layout { layout, .. })) = read(&[&source])
            else {
                panic!("{source}")
            };
            assert_eq!(layout, source);
        }
        let refused = read(&["docker-archive:/nowhere/x.tar:a:v1"]).unwrap_err().to_string();
        assert!(refused.starts_with("/nowhere/x.tar: there is no"), "{refused}");
        let Ok(SourceArg::Upstream(ImportSource::Chart { repository, name, version, .. })) =
            read(&["helm+https://c/", "n@1"])
        else {
            panic!("a chart")
        };
        assert_eq!(
            (repository.as_str(), name.as_str(), version.as_deref()),
            ("https://c/", "n", Some("1"))
        );
    }

    #[test]
    fn an_image_without_its_scheme_is_recognised() {
        for image in ["ghcr.io/foo/bar:1", "localhost:5000/app", "minio/minio:v1", "quay.io/a/b"] {
            let Err(CommandError::Usage { hint: Some(hint), .. }) = read(&[image]) else {
                panic!("{image}")
            };
            assert!(hint.ends_with(&format!("perennial add docker://{image}")), "{hint}");
        }
        for file in ["minio", "./minio.tar", "../a:b", "/srv/a:b", "dir/file.tar.gz"] {
            assert!(read(&[file]).is_ok(), "{file}");
        }
        assert!(read(&["-"]).is_ok(), "standard input");
    }

    #[test]
    fn kinds_are_not_mixed() {
        for mixed in [
            &["a", "https://x/y"][..],
            &["docker://x", "oci:/l"],
            &["helm+https://c/"],
            &["helm+https://c/"],
            &["oci:/a", "oci:/b"],
        ] {
            assert!(read(mixed).is_err(), "{mixed:?}");
        }
    }
}
