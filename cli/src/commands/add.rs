//! `perennial add`: stores files or an upstream's content, signs a release of it and announces it.

mod import;
mod name;
mod options;
mod source;
mod spelling;
mod stdin;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use perennial_control::{Add, Failed, ImportSource, NewFeed, Published};
use perennial_manifest::{ArtifactPath, PublisherKind, body};

use crate::failure::CommandError;
use crate::paths::existing;
use crate::quantity::{bytes, count};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

use name::name_of;
use source::SourceArg;
use stdin::is_stdin;

/// Help heading of the options for directories.
const TREES: &str = "Directories";
/// Help heading of the options for images.
const IMAGES: &str = "Images";
/// Help heading of the options for URLs, charts and networks.
const OTHER: &str = "URLs, charts and networks";

/// Store files or what an upstream publishes, sign a release of it, announce it
///
/// A directory adds the files below it, each named by its path in the directory; a file adds
/// itself. Symbolic links inside the directory stay links, and empty directories are kept; names
/// that some systems do not have, and links that lead out, are refused. URLs, images in registries,
/// image layouts and archives, and charts in Helm repositories are kept byte for byte, for every
/// platform, together with the signatures published beside them; each image is a release of its
/// own. Equal bytes are stored once.
///
/// A release is an entry (a signed statement) that names its files. It is signed with the publisher
/// key of this data directory, and pinned. Adding the same again signs nothing: it names the
/// release that has these files already.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  perennial add ./kubekey-v3.1.0 --name kubekey --version v3.1.0 --license Apache-2.0
  perennial add kk.tar.gz SHA256SUMS --purl pkg:github/kubesphere/kubekey@v3.1.0
  perennial add /srv/mirror/kubekey --name kubekey --version v3.1.0 --in-place
  perennial add ./mirror --name mirror --version 2026-11 --exclude .git --exclude '*.log'
  git archive HEAD | perennial add - --file-name src.tar --name kk --version v3.1.0
  perennial add https://example.org/kk-v3.1.0.tar.gz --name kubekey --version v3.1.0
  perennial add docker://quay.io/kubesphere/ks-console:v3.4.1
  perennial add docker://quay.io/kubesphere/ks-console --all-tags --platform linux/amd64
  perennial add --from images.txt
  perennial add oci-archive:saved.tar --ref quay.io/kubesphere/ks-console:v3.4.1
  perennial add ks-core-1.1.0.tgz --purl pkg:helm/ks-core@1.1.0
  perennial add helm+https://charts.example.org/ ks-core@1.1.0 --with-images")]
pub(crate) struct AddArgs {
    /// Files and directories; - for standard input, with --file-name; URLs; docker://IMAGE;
    /// oci:DIR, oci-archive:FILE or docker-archive:FILE, with :TAG to pick one of several images;
    /// helm+https://REPOSITORY NAME@VERSION
    #[arg(required_unless_present = "from", value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// File that lists images to add, one reference per line (repeatable)
    #[arg(long, value_name = "FILE", help_heading = IMAGES)]
    from: Vec<PathBuf>,
    /// Name of the release; with --version, short for --purl pkg:generic/NAME@VERSION
    #[arg(long, requires = "version", conflicts_with = "purl")]
    name: Option<String>,
    /// Version of the release, as upstream writes it
    #[arg(long, requires = "name", conflicts_with = "purl")]
    version: Option<String>,
    /// Package URL (purl) with a version, instead of --name and --version
    #[arg(long)]
    purl: Option<String>,
    /// Licence as an SPDX expression [default: NOASSERTION]
    #[arg(long, value_name = "SPDX", value_parser = body::licence)]
    license: Option<String>,
    /// Licence text that is not among the sources (repeatable)
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    license_file: Vec<PathBuf>,
    /// Refer to files over 64 KiB in place instead of copying them; they must not change afterwards
    #[arg(long)]
    in_place: bool,
    /// Leave out files and directories that match: *.log or .git at any depth, docs/*.tmp from the
    /// top (repeatable)
    #[arg(long, value_name = "GLOB", help_heading = TREES)]
    exclude: Vec<String>,
    /// Add what symbolic links lead to, instead of the links
    #[arg(long, help_heading = TREES)]
    dereference: bool,
    /// Leave out files that cannot be part of a release, and name them
    #[arg(long, help_heading = TREES)]
    skip_unportable: bool,
    /// Your role as the publisher of this and later releases [default: unchanged; archivist at
    /// first]
    #[arg(long, value_parser = kind_parser(), hide_short_help = true)]
    kind: Option<PublisherKind>,
    /// Free text for people
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    notes: Option<String>,
    /// Sign a release even if your last one of this name has the same files
    #[arg(long, hide_short_help = true)]
    again: bool,
    /// Sign URLs with their whole query, which other nodes keep for ever; users and passwords are
    /// left out all the same
    #[arg(long, hide_short_help = true)]
    keep_query: bool,
    /// Add every tag of each repository
    #[arg(long, help_heading = IMAGES)]
    all_tags: bool,
    /// Add only this platform, such as linux/arm64 (repeatable) [default: all]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", help_heading = IMAGES)]
    platform: Vec<String>,
    /// Reference of the image in a layout or archive that does not contain it
    #[arg(long = "ref", value_name = "IMAGE", help_heading = IMAGES, hide_short_help = true)]
    reference: Option<String>,
    /// Also add the images that a chart names, and report how many of them are held
    #[arg(long, help_heading = OTHER)]
    with_images: bool,
    /// Name of the file in the release: of one URL, instead of the server's, or of standard input
    #[arg(long, value_name = "NAME", help_heading = OTHER, hide_short_help = true)]
    file_name: Option<String>,
    /// Accept a web page where the URL promises an archive
    #[arg(long, help_heading = OTHER, hide_short_help = true)]
    html: bool,
    /// Allow connections to addresses in private networks
    #[arg(long, help_heading = OTHER, hide_short_help = true)]
    allow_private: bool,
    /// Credentials file in the format of podman and docker [default: the files of podman and
    /// docker]
    #[arg(long, value_name = "FILE", help_heading = IMAGES, hide_short_help = true)]
    auth_file: Option<PathBuf>,
    /// Use plain HTTP for registries
    #[arg(long, help_heading = IMAGES, hide_short_help = true)]
    plain_http: bool,
    /// Give up on an upstream after this many tries, with growing waits between them [default: 7
    /// for a file, 5 for a part of an image, 3 where connections are refused, 1 on this machine]
    #[arg(long, value_name = "N", help_heading = OTHER, hide_short_help = true)]
    tries: Option<NonZeroU32>,
    /// Begin a feed with a key that was copied here and has signed nothing elsewhere
    #[arg(long, hide_short_help = true)]
    new_feed: bool,
}

fn kind_parser() -> impl TypedValueParser<Value = PublisherKind> {
    let values = [
        PossibleValue::new("upstream").help("The project itself"),
        PossibleValue::new("archivist").help("Saved a copy of another project's release"),
    ];
    PossibleValuesParser::new(values).try_map(|word| word.parse())
}

pub(crate) async fn run(
    args: AddArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let source = source::parse(&args)?;
    options::check(&args, &source)?;
    let takes_name = match &source {
        SourceArg::Urls(urls) => urls.len() == 1,
        SourceArg::Files(paths) => paths.iter().filter(|path| is_stdin(path)).count() == 1,
        SourceArg::Upstream(_) => false,
    };
    if args.file_name.is_some() && !takes_name {
        return Err(CommandError::usage(
            "--file-name names the file of one URL, or standard input",
            "add each URL with a command of its own, or leave --file-name out",
        ));
    }
    if args.new_feed {
        session.ask(NewFeed).await?;
    }
    match source {
        SourceArg::Files(paths) => files(args, &paths, session, screen).await,
        SourceArg::Urls(urls) => {
            let purl = name_of(&args)?;
            let file_name = args.file_name.as_deref().map(ArtifactPath::parse).transpose();
            let file_name = file_name.map_err(|error| {
                CommandError::usage(error.to_string(), "give a name such as tool-1.2.tar.gz")
            })?;
            let source = ImportSource::Urls { urls, purl, html: args.html, file_name };
            import::run(args, source, session, screen).await
        }
        SourceArg::Upstream(source) => import::run(args, source, session, screen).await,
    }
}

async fn files(
    args: AddArgs,
    paths: &[PathBuf],
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let purl = name_of(&args)?;
    let mut spooled = None;
    let mut given = Vec::with_capacity(paths.len());
    for path in paths {
        if !is_stdin(path) {
            given.push(existing(path)?);
        } else if args.in_place || spooled.is_some() {
            return Err(CommandError::usage(
                "standard input can be added once, and not in place",
                "for a file called -, write ./-",
            ));
        } else {
            let input = stdin::spool(args.file_name.as_deref()).await?;
            given.push(input.path.clone());
            spooled = Some(input);
        }
    }
    let license_files =
        args.license_file.iter().map(|path| existing(path)).collect::<Result<_, _>>()?;
    if args.license.is_none() {
        screen.status(format_args!("note: no --license given; the release states NOASSERTION"));
    }
    let request = Add {
        license: args.license,
        license_files,
        in_place: args.in_place,
        kind: args.kind,
        notes: args.notes,
        again: args.again,
        keep_query: args.keep_query,
        exclude: args.exclude,
        dereference: args.dereference,
        skip_unportable: args.skip_unportable,
        ..Add::new(given, purl)
    };
    let answered = session.converse(request, Dial::AndWarn, |_| Ok(()), |_| true).await?;
    drop(spooled);
    if answered.embedded {
        screen.status(format_args!(
            "note: no node runs on this data directory, so no peer can fetch this yet: start \
             `perennial serve --data {}`",
            session.data().display()
        ));
    }
    screen.row(&answered.answer, added)?;
    if !screen.json {
        // A result, which `--quiet` does not silence.
        for Failed { what, reason, .. } in &answered.answer.left_out {
            screen.message("left out: ", &safe(&format!("{what}: {reason}")));
        }
    }
    for remark in &answered.answer.remarks {
        screen.status(format_args!("note: {}", safe(remark)));
    }
    Ok(())
}

/// A signed release as text for the terminal.
fn added(done: &Published) -> String {
    if done.already {
        return format!("already released as {}: {}", done.release, safe(done.purl.as_str()));
    }
    format!(
        "added {}\n  release    {}\n  publisher  {}\n  {}, {}, {} of it new",
        safe(done.purl.as_str()),
        done.release,
        done.publisher,
        count(done.artifacts, "file"),
        bytes(done.bytes),
        bytes(done.new_bytes),
    )
}
