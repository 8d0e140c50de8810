//! `perennial add`: store files, or what an upstream publishes, sign a release of it, announce it.

mod import;
mod source;

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use perennial_control::{Add, AddDone, Done, Request, Source};
use perennial_manifest::{PublisherKind, Purl};

use crate::failure::CommandError;
use crate::link::{Link, absolute};
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};

use source::From;

/// Store files or what an upstream publishes, sign a release of it, announce it
///
/// A directory adds what is below it, each file named by its path in the directory; a file adds itself. URLs, images of
/// registries, layouts and archives of images, and charts of Helm repositories are kept byte for byte, every platform, with the signatures that
/// lie beside them; each image is a release. What is already stored is stored once. A release is signed with the publisher key of this data directory and pinned.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  perennial add ./kubekey-v3.1.0 --name kubekey --version v3.1.0 --license Apache-2.0
  perennial add kk.tar.gz SHA256SUMS --purl pkg:github/kubesphere/kubekey@v3.1.0
  perennial add /srv/mirror/kubekey --name kubekey --version v3.1.0 --in-place
  perennial add https://example.org/kk-v3.1.0.tar.gz --name kubekey --version v3.1.0
  perennial add docker://quay.io/kubesphere/ks-console:v3.4.1
  perennial add docker://quay.io/kubesphere/ks-console --all-tags --platform linux/amd64
  perennial add --from images.txt
  perennial add oci-archive:saved.tar --ref quay.io/kubesphere/ks-console:v3.4.1
  perennial add helm+https://charts.example.org/ ks-core@1.1.0 --with-images")]
pub(crate) struct AddArgs {
    /// Files and directories; URLs; docker://IMAGE; oci:DIR, oci-archive:FILE or docker-archive:FILE, with :TAG where there
    /// are several; helm+https://REPOSITORY NAME@VERSION
    #[arg(required_unless_present = "from", value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// Images listed in a file, a reference a line (repeatable)
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Name of what is released; with --version makes pkg:generic/NAME@VERSION
    #[arg(long, requires = "version", conflicts_with = "purl")]
    name: Option<String>,
    /// Version of what is released, as upstream writes it
    #[arg(long, requires = "name", conflicts_with = "purl")]
    version: Option<String>,
    /// Package URL with a version, instead of --name and --version
    #[arg(long)]
    purl: Option<String>,
    /// Licence as an SPDX expression [default: NOASSERTION]
    #[arg(long, value_name = "SPDX")]
    license: Option<String>,
    /// Licence text that is not among the paths (repeatable)
    #[arg(long, value_name = "FILE")]
    license_file: Vec<PathBuf>,
    /// Refer to the files where they lie instead of copying them; they must not change
    #[arg(long)]
    in_place: bool,
    /// What you are: the project itself, or somebody who saved a copy [default: as before, at first archivist]
    #[arg(long, value_parser = kind_parser())]
    kind: Option<PublisherKind>,
    /// Free text for people
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Images: every tag of each repository
    #[arg(long)]
    all_tags: bool,
    /// Images: only this platform, as in linux/arm64 (repeatable) [default: all]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<String>,
    /// Layouts and archives: the reference that the image is to be known by, where they do not say
    #[arg(long = "ref", value_name = "IMAGE")]
    reference: Option<String>,
    /// Charts: add the images that the chart names, too, and say how many of them are held
    #[arg(long)]
    with_images: bool,
    /// URLs: take a web page although an archive was asked for
    #[arg(long)]
    html: bool,
    /// Call addresses inside private networks, too
    #[arg(long)]
    allow_private: bool,
    /// Images: credentials, as podman and docker keep them [default: where those keep them]
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Speak plain HTTP to registries
    #[arg(long)]
    plain_http: bool,
}

fn kind_parser() -> impl TypedValueParser<Value = PublisherKind> {
    let values = [
        PossibleValue::new("upstream").help("The project itself"),
        PossibleValue::new("archivist").help("Somebody who saved a copy"),
    ];
    PossibleValuesParser::new(values).try_map(|word| word.parse())
}

pub(crate) async fn run(
    args: AddArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    match source::from(&args)? {
        From::Files(paths) => files(args, &paths, link, screen).await,
        From::Urls(urls) => {
            let purl = name_of(&args)?.to_string();
            let source = Source::Urls { urls, purl, html: args.html };
            import::run(args, source, link, screen).await
        }
        From::Elsewhere(source) => import::run(args, source, link, screen).await,
    }
}

async fn files(
    args: AddArgs,
    paths: &[PathBuf],
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let purl = name_of(&args)?;
    let paths = existing(paths)?;
    let license_files = existing(&args.license_file)?;
    if args.license.is_none() {
        screen.status(format_args!("note: no --license given; the release says NOASSERTION"));
    }
    let request = Request::Add(Add {
        paths,
        purl: purl.to_string(),
        license: args.license,
        license_files,
        in_place: args.in_place,
        kind: args.kind,
        notes: args.notes,
    });
    let Done::Add(done) = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&done, added)?;
    Ok(())
}

/// What is said of a release that was signed.
fn added(done: &AddDone) -> String {
    format!(
        "added {}\n  release    {}\n  publisher  {}\n  {}, {}, {} of it new",
        safe(&done.purl),
        safe(&done.release),
        safe(&done.publisher),
        count(done.artifacts, "file"),
        bytes(done.bytes),
        bytes(done.new_bytes),
    )
}

/// The release's package URL, or what to type to give one.
fn name_of(args: &AddArgs) -> Result<Purl, CommandError> {
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

/// A guess at name and version from the first path, for the hint.
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

/// `kubekey-v3.1.0` in two.
fn split_version(stem: &str) -> Option<(&str, &str)> {
    stem.match_indices(['-', '_', '@']).find_map(|(at, _)| {
        let (name, version) = (&stem[..at], &stem[at + 1..]);
        let number = version.strip_prefix('v').unwrap_or(version);
        (!name.is_empty() && number.starts_with(|c: char| c.is_ascii_digit()))
            .then_some((name, version))
    })
}

/// The paths as the node needs them; one that is not there fails before anything is read.
fn existing(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    paths
        .iter()
        .map(|path| {
            std::fs::symlink_metadata(path)
                .map_err(|source| CommandError::Io { what: path.display().to_string(), source })?;
            absolute(path)
        })
        .collect()
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
