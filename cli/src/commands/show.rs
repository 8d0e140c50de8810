//! `perennial show`: everything about one release.

use std::fmt::Write as _;

use clap::Args;
use perennial_control::{ArtifactRow, Done, Request, ShowDone};

use crate::failure::CommandError;
use crate::link::Link;
use crate::quantity::{bytes, count, day};
use crate::screen::{Screen, safe, short};

/// Show one release: who signed it, who agrees, who holds it, its files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial show kubekey@v3.1.0
  perennial show kubekey@v3.1.0 --publisher did:key:z6Mk… --peer /ip4/192.0.2.7/tcp/4407
  perennial show 6ddf8a4e --json")]
pub(crate) struct ShowArgs {
    /// NAME@VERSION, pkg:… or a release id
    #[arg(value_parser = super::selector)]
    selector: String,
    /// The release of this publisher: its did:key:…, or what you called it
    #[arg(long, value_name = "DID", value_parser = super::publisher)]
    publisher: Option<String>,
}

pub(crate) async fn run(
    args: ShowArgs,
    link: &Link<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Request::Show { selector: args.selector, publisher: args.publisher };
    let Done::Show(done) = link.ask(request).await? else { return Err(CommandError::Answer) };
    screen.row(&*done, |done| text(done).trim_end().to_owned())?;
    Ok(())
}

fn text(done: &ShowDone) -> String {
    let mut out = String::new();
    let row = &done.row;
    let mut field = |name: &str, value: &str| {
        // writing to a String does not fail
        let _ = writeln!(out, "{name:<11}{value}");
    };
    field("release", &safe(&row.release));
    field("purl", &safe(&row.purl));
    let name = done
        .publisher_name
        .as_deref()
        .map(|name| format!(" \"{}\"", safe(name)))
        .unwrap_or_default();
    let followed = if done.followed { "followed" } else { "not followed" };
    field("publisher", &format!("{}{name}, {}, {followed}", safe(&row.publisher), row.kind));
    if done.forked {
        field(
            "FORKED",
            "somebody signed two histories with this key; its tags are frozen until they are merged",
        );
    }
    field("signed", &format!("{} by its own clock", day(done.issued_at)));
    field("licence", &safe(&done.license));
    if let Some(source) = &done.source {
        field("source", &safe(source));
    }
    if let Some(notes) = &done.notes {
        field("notes", &safe(notes));
    }
    field(
        "state",
        &format!(
            "{}: {} of {} in {}",
            row.state,
            bytes(row.held_bytes),
            bytes(row.bytes),
            count(row.artifacts, "file")
        ),
    );
    field("list", &safe(&done.list));
    for publisher in &done.agreeing {
        field("agrees", &safe(publisher));
    }
    for publisher in &done.disagreeing {
        field("DISAGREES", &format!("{} signed other bytes under this name", safe(publisher)));
    }
    if done.holders.is_empty() {
        field("holders", "nobody that was reached says it holds this");
    }
    for holder in &done.holders {
        let who = if holder.this_node { "this node, " } else { "" };
        let held = holder.held_bytes.map(|held| format!(", {}", bytes(held))).unwrap_or_default();
        field("holder", &format!("{}: {who}{}{held}", safe(&holder.peer), holder.state));
    }
    match &done.files {
        None => field("files", "the list of files is not here, and no peer gave it"),
        Some(files) => {
            out.push('\n');
            for file in files {
                let _ = writeln!(out, "{}", file_line(file));
            }
        }
    }
    out
}

fn file_line(file: &ArtifactRow) -> String {
    let held = if file.held { ' ' } else { '-' };
    let platform =
        file.platform.as_deref().map(|platform| format!(" {}", safe(platform))).unwrap_or_default();
    let exec = if file.exec { " exec" } else { "" };
    format!(
        "{held} {:>11}  {}  {}  {}{platform}{exec}",
        bytes(file.size),
        short(file.blake3.trim_start_matches("blake3:")),
        safe(&file.path),
        safe(&file.role),
    )
}

#[cfg(test)]
mod tests {
    use perennial_control::ReleaseRow;
    use perennial_manifest::{Holding, PublisherKind};

    use super::*;

    #[test]
    fn what_a_release_says_cannot_draw_on_the_terminal() {
        let evil = "x\u{1b}[1A\npublisher  did:key:you-trust";
        let done = ShowDone {
            row: ReleaseRow {
                release: "ab".repeat(32),
                purl: "pkg:generic/a@1".into(),
                publisher: "did:key:z6Mk".into(),
                kind: PublisherKind::Archivist,
                artifacts: 1,
                bytes: 1,
                held_bytes: 0,
                state: Holding::Known,
            },
            publisher_name: Some(evil.into()),
            followed: false,
            forked: false,
            license: evil.into(),
            issued_at: 0,
            list: evil.into(),
            source: Some(evil.into()),
            notes: Some(evil.into()),
            agreeing: vec![evil.into()],
            disagreeing: vec![evil.into()],
            holders: Vec::new(),
            files: Some(vec![ArtifactRow {
                path: evil.into(),
                size: 1,
                blake3: evil.into(),
                sha256: evil.into(),
                role: evil.into(),
                media_type: evil.into(),
                platform: Some(evil.into()),
                exec: true,
                held: false,
            }]),
        };
        let text = text(&done);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.lines().filter(|line| line.starts_with("publisher")).count() == 1, "{text}");
        assert!(text.contains("archivist, not followed"), "{text}");
    }
}
