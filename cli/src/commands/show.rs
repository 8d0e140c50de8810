//! `perennial show`: one release in full.

use std::fmt::Write as _;

use clap::Args;
use perennial_control::{ArtifactRow, Show, ShowDone};
use perennial_manifest::{PublisherRef, Selector};

use crate::failure::CommandError;
use crate::quantity::{bytes, count, day};
use crate::screen::{Screen, safe, short};
use crate::session::{Dial, Session};

/// Show one release: its publisher, who agrees, who holds it, its files
///
/// Looking needs no trust: a release of a publisher that you do not follow is shown, and marked.
/// Publishers agree when they signed the same list, which names every file of a release and its
/// digest. Holders are this node and the peers that say they hold the release.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial show kubekey@v3.1.0
  perennial show quay.io/minio/minio:RELEASE.2025-01-20T14-49-07Z
  perennial show kubekey@v3.1.0 --publisher did:key:z6Mk… --peer /ip4/192.0.2.7/tcp/4407
  perennial show 6ddf8a4e --json")]
pub(crate) struct ShowArgs {
    /// NAME[@VERSION], an image as docker names it, pkg:… (a package URL, or purl) or a release id
    selector: Selector,
    /// Show the release of this publisher: its DID, or your name for it
    #[arg(long, value_name = "DID|NAME")]
    publisher: Option<PublisherRef>,
}

pub(crate) async fn run(
    args: ShowArgs,
    session: &Session<'_>,
    screen: &Screen,
) -> Result<(), CommandError> {
    let request = Show { selector: args.selector, publisher: args.publisher };
    let done = session.ask_rows(request, Dial::Background, |_| Ok(())).await?;
    screen.row(&done, |done| text(done).trim_end().to_owned())?;
    Ok(())
}

fn text(done: &ShowDone) -> String {
    let mut out = String::new();
    let row = &done.row;
    let mut field = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<11}{value}");
    };
    field("release", &row.release.to_string());
    field("purl", &safe(row.purl.as_str()));
    let name = done
        .publisher_name
        .as_deref()
        .map(|name| format!(" \"{}\"", safe(name)))
        .unwrap_or_default();
    let followed = if done.followed { "followed" } else { "not followed" };
    field("publisher", &format!("{}{name}, {}, {followed}", row.publisher, row.kind));
    if !done.followed {
        field("STRANGER", "you do not follow this publisher; `get` fetches it by its release id");
    }
    if done.forked {
        field(
            "FORKED",
            "two histories were signed with this key; its tags are frozen until they are merged",
        );
    }
    field("signed", &format!("{}, by the publisher's clock", day(done.issued_at)));
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
    field("list", &done.list.to_string());
    for publisher in &done.agreeing {
        field("agrees", &publisher.to_string());
    }
    for publisher in &done.disagreeing {
        field("DISAGREES", &format!("{publisher} signed other bytes under this name"));
    }
    if done.holders.is_empty() {
        field("holders", "no peer that answered holds it");
    }
    for holder in &done.holders {
        let who = if holder.this_node { "this node, " } else { "" };
        let held = holder.held_bytes.map(|held| format!(", {}", bytes(held))).unwrap_or_default();
        field("holder", &format!("{}: {who}{}{held}", safe(&holder.peer), holder.state));
    }
    match &done.files {
        None => field("files", "the list of files is not here, and no peer sent it"),
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
        short(&file.blake3.to_hex()),
        safe(file.path.as_str()),
        file.role,
    )
}

#[cfg(test)]
mod tests {
    use perennial_control::ReleaseRow;
    use perennial_manifest::{
        BlobId, EntryId, Holding, Keypair, PublisherKind, Purl, Role, Sha256Digest,
    };

    use super::*;

    #[test]
    fn text_of_a_release_cannot_control_the_terminal() {
        let evil = "x\u{1b}[1A\npublisher  did:key:you-trust";
        let publisher = Keypair::from_seed([7; 32]).id();
        let blob = BlobId::from_bytes([0xcd; 32]);
        let done = ShowDone {
            row: ReleaseRow {
                release: EntryId::from_bytes([0xab; 32]).into(),
                purl: Purl::parse("pkg:generic/a@1").unwrap(),
                publisher,
                kind: PublisherKind::Archivist,
                artifacts: 1,
                bytes: 1,
                held_bytes: 0,
                state: Holding::Known,
                elsewhere: false,
            },
            publisher_name: Some(evil.into()),
            followed: false,
            forked: false,
            license: evil.into(),
            issued_at: 0,
            list: blob,
            source: Some(evil.into()),
            notes: Some(evil.into()),
            agreeing: vec![publisher],
            disagreeing: vec![publisher],
            holders: Vec::new(),
            files: Some(vec![ArtifactRow {
                path: "x".parse().unwrap(),
                size: 1,
                blake3: blob,
                sha256: Sha256Digest::from_bytes([7; 32]),
                role: Role::Doc,
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
        assert!(text.contains("STRANGER   you do not follow"), "{text}");
    }
}
