//! `perennial get`: fetch a release or a blob from any peer that holds it.

mod image;

use std::path::{Path, PathBuf};

use clap::Args;
use perennial_control::{Get, GetDone};
use perennial_manifest::{Platform, PublisherRef, Selector};

use crate::failure::CommandError;
use crate::paths::absolute;
use crate::quantity::{at_rate, bytes, count, seconds};
use crate::screen::{Screen, safe};
use crate::session::{Dial, Session};

/// Fetch a release or a blob, verify every byte, write it out
///
/// A name resolves only through publishers you follow, or the one given with --publisher. When only
/// strangers signed it, they are listed, nothing is fetched, and the exit code is 3. When
/// publishers you follow disagree on the bytes, both are shown, and the exit code is 4. Release ids
/// and digests need no trust: blake3:… and sha256:… name the bytes of one file, and the digest of
/// an image's manifest the image. An interrupted download continues where it stopped.
///
/// An image is written as docker, podman and containerd take it: an OCI layout whose index.json has
/// the full name of the image, with docker's manifest.json beside it. All other files are those of
/// the release, byte for byte.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial get kubekey@v3.1.0 -o out/
  perennial get kubekey@v3.1.0 --publisher did:key:z6Mk… -o out/ --peer /ip4/192.0.2.7/tcp/4407
  perennial get kubekey@v3.1.0 kk -o out/         only this file
  perennial get quay.io/minio/minio:RELEASE.2025-01-20T14-49-07Z -o out/
  perennial get pkg:generic/kubekey@v3.1.0 -o out/ --force
  perennial get sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o out/
  perennial get quay.io/team/app:v1 -o app.tar    an image for docker, podman or containerd
  perennial get 6ddf8a4e                          store it without writing files")]
pub(crate) struct GetArgs {
    /// NAME or NAME@VERSION, an image as docker names it, pkg:… (a package URL, or purl), a release
    /// id, blake3:… or sha256:…
    selector: Selector,
    /// Fetch only these files of the release: a path, its last part, or a directory
    #[arg(value_name = "PATH", conflicts_with = "platform")]
    files: Vec<String>,
    /// Directory to write the files to; without it they are only stored. FILE.tar writes an image
    /// as one archive
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Resolve the name through this publisher: its DID, or your name for it
    #[arg(long, value_name = "DID|NAME")]
    publisher: Option<PublisherRef>,
    /// Replace existing files that have other content
    #[arg(long)]
    force: bool,
    /// Only this platform of an image, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) async fn run(
    args: GetArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Get {
        files: args.files,
        selector: args.selector,
        publisher: args.publisher,
        output: args.output.as_deref().map(output).transpose()?,
        force: args.force,
        platform: args.platform,
    };
    let done = session.ask_rows(request, Dial::Background, |_| Ok(())).await?;
    screen.row(&done, text)?;
    for remark in &done.remarks {
        screen.status(format_args!("warning: {}", safe(remark)));
    }
    Ok(())
}

/// Where to write. A release may have many files, so that `-` cannot mean standard output.
fn output(path: &Path) -> Result<PathBuf, CommandError> {
    if path.as_os_str() == "-" {
        return Err(CommandError::usage(
            "get does not write to standard output",
            "write to a directory with -o DIR (./- for one of that name); a node with --http \
             serves one file: curl http://HOST:4480/b/DIGEST",
        ));
    }
    absolute(path)
}

fn text(done: &GetDone) -> String {
    let purl = done.purl.as_ref().map(ToString::to_string);
    let release = done.release.as_ref().map(ToString::to_string);
    let what = purl.or(release).or(done.blob.as_ref().map(ToString::to_string));
    let mut text = format!(
        "{}: {}, {}",
        safe(what.as_deref().unwrap_or_default()),
        count(done.artifacts, "file"),
        bytes(done.bytes)
    );
    match &done.output {
        Some(output) => text += &format!(", written to {}", safe(output)),
        None => text += "; stored, not written: -o DIR writes it",
    }
    if let Some(release) = &done.release {
        text += &format!("\n  release    {release}");
    }
    for publisher in &done.publishers {
        text += &format!("\n  signed by  {publisher}");
    }
    if done.publishers.len() > 1 {
        text += &format!(
            "\n  {} agree on these bytes",
            count(done.publishers.len() as u64, "publisher")
        );
    }
    let took = std::time::Duration::from_millis(done.elapsed_ms);
    if done.fetched_bytes == 0 {
        text += "\n  nothing had to be fetched";
    } else {
        text += &format!(
            "\n  fetched    {} in {}{}",
            bytes(done.fetched_bytes),
            seconds(took),
            at_rate(done.fetched_bytes, took)
        );
        for (peer, sent) in &done.from {
            text += &format!("\n    from {}  {}", safe(peer), bytes(*sent));
        }
    }
    if let (Some(image), Some(output)) = (&done.image, &done.output) {
        text += &image::usage(image, output);
    }
    text
}
