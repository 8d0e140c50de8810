//! `perennial get`: bring a release or a blob here, from whoever holds it.

use std::path::PathBuf;

use clap::Args;
use perennial_control::{Done, Get, GetDone, Request};

use crate::failure::CommandError;
use crate::link::{Link, absolute};
use crate::quantity::{bytes, count, rate, seconds};
use crate::screen::{Screen, safe};

/// Fetch a release or a blob, check every byte, write it out
///
/// A name resolves only through publishers you follow, or the one named by --publisher: for a name that only
/// strangers signed, they are listed, nothing is fetched, and the exit code is 3. When publishers you follow
/// disagree on the bytes, both are shown, and the exit code is 4. Release ids and digests need no trust. What was
/// fetched before an interruption is not fetched again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial get kubekey@v3.1.0 -o out/
  perennial get kubekey@v3.1.0 --publisher did:key:z6Mk… -o out/ --peer /ip4/192.0.2.7/tcp/4407
  perennial get pkg:generic/kubekey@v3.1.0 -o out/ --force
  perennial get sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o out/
  perennial get 6ddf8a4e                          fetch into the store only")]
pub(crate) struct GetArgs {
    /// NAME@VERSION, pkg:…, a release id, blake3:… or sha256:…
    #[arg(value_parser = super::selector)]
    selector: String,
    /// Write the files here; without it they are only stored
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Resolve the name through this publisher: its did:key:…, or what you called it
    #[arg(long, value_name = "DID", value_parser = super::publisher)]
    publisher: Option<String>,
    /// Replace files that are there with other content
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(
    args: GetArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Get(Get {
        selector: args.selector,
        publisher: args.publisher,
        output: args.output.as_deref().map(absolute).transpose()?,
        force: args.force,
    });
    let Done::Get(done) = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&done, text)?;
    Ok(())
}

fn text(done: &GetDone) -> String {
    let what = done.purl.as_ref().or(done.release.as_ref()).or(done.blob.as_ref());
    let mut text = format!(
        "got {}: {}, {}",
        safe(what.map_or("it", String::as_str)),
        count(done.artifacts, "file"),
        bytes(done.bytes)
    );
    if let Some(output) = &done.output {
        text += &format!(", in {}", safe(output));
    }
    if let Some(release) = &done.release {
        text += &format!("\n  release    {}", safe(release));
    }
    for publisher in &done.publishers {
        text += &format!("\n  signed by  {}", safe(publisher));
    }
    if done.publishers.len() > 1 {
        text += &format!(
            "\n  {} agree on these bytes",
            count(done.publishers.len() as u64, "publisher")
        );
    }
    let took = std::time::Duration::from_millis(done.elapsed_ms);
    if done.fetched_bytes == 0 {
        text += "\n  all of it was here";
    } else {
        text += &format!(
            "\n  fetched    {} in {}, {}",
            bytes(done.fetched_bytes),
            seconds(took),
            rate(done.fetched_bytes, took)
        );
        for (peer, sent) in &done.from {
            text += &format!("\n    from {}  {}", safe(peer), bytes(*sent));
        }
    }
    text
}
