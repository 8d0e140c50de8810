//! `perennial show`: one release in full.

use clap::Args;
use perennial_control::{ArtifactRow, Show, Shown};
use perennial_manifest::{PublisherRef, Selector};
use serde::Serialize;

use crate::failure::CommandError;
use crate::fields::Fields;
use crate::name::{ago, title};
use crate::quantity::{bytes, count, day};
use crate::screen::{Screen, safe, short};
use crate::session::{Dial, Session};
use crate::table::{Cell, Column, Fit, Table};

/// Show one release: its publisher, who agrees, who holds it, its files
///
/// Looking needs no trust: a release of a publisher that you do not trust is shown, and marked.
/// Publishers agree when all files have the same path, size, digest and kind, wherever they came
/// from. Holders are this node and the peers that say they hold the release.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  perennial show kubekey@v3.1.0
  perennial show quay.io/minio/minio:RELEASE.2025-01-20T14-49-07Z
  perennial show kubekey@v3.1.0 --publisher did:key:z6Mk… --peer /ip4/192.0.2.7/tcp/4407
  perennial show 6ddf8a4e --json")]
pub(crate) struct ShowArgs {
    /// NAME or NAME@VERSION, an image as docker names it, pkg:… (a package URL, or purl) or a
    /// release id
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
    let mut files = Vec::new();
    let file = |file| {
        files.push(file);
        Ok(())
    };
    let done = session.ask_rows(request, Dial::Background, file).await?;
    let release = Release { shown: done.shown, files: done.listed.then_some(files) };
    screen.row(&release, |release| text(release, screen))?;
    Ok(())
}

/// A release as `--json` prints it.
#[derive(Debug, Serialize)]
struct Release {
    #[serde(flatten)]
    shown: Shown,
    /// None if its list of files is not here.
    files: Option<Vec<ArtifactRow>>,
}

fn text(release: &Release, screen: &Screen) -> String {
    let Release { shown: done, files } = release;
    let mut fields = Fields::new(screen, 9);
    let row = &done.row;
    fields.add("release", &row.release.to_string());
    fields.add("name", &title(&row.purl));
    fields.add("purl", &safe(row.purl.as_str()));
    let name = row.publisher_name.as_deref().map(|name| format!(" {},", safe(name)));
    let followed = if done.followed { "followed" } else { "not followed" };
    let name = name.unwrap_or_default();
    fields.add("by", &format!("{},{name} {}, {followed}", row.publisher, row.kind));
    if !done.followed {
        let stranger = "you do not trust this publisher; `get` fetches it by its release id";
        fields.add("STRANGER", stranger);
    }
    if done.forked {
        fields.add(
            "FORKED",
            "two histories were signed with this key; its tags are frozen until they are merged",
        );
    }
    let (signed, age) = (day(row.issued_at), ago(row.issued_at));
    fields.add("signed", &format!("{signed} by the publisher's clock, {age}"));
    fields.add("licence", &safe(&done.license));
    if let Some(source) = &done.source {
        fields.add("source", &safe(source));
    }
    if let Some(notes) = &done.notes {
        fields.add("notes", &safe(notes));
    }
    let (held, all) = (bytes(row.held_bytes), bytes(row.bytes));
    let number = count(row.artifacts, "file");
    fields.add("state", &format!("{}: {held} of {all} in {number}", row.state));
    fields.add("list", &done.list.to_string());
    if let Some(reason) = &done.invalid {
        let text = "the publisher signed a list of files that does not fit this release";
        fields.add("INVALID", &format!("{text}; {}", safe(reason)));
    }
    for publisher in &done.agreeing {
        fields.add("agrees", &publisher.to_string());
    }
    for publisher in &done.disagreeing {
        fields.add("DIFFERS", &format!("{publisher} signed other bytes under this name"));
    }
    if done.holders.is_empty() {
        fields.add("holders", "no peer that answered holds it");
    }
    for holder in &done.holders {
        let who = if holder.this_node { ", this node" } else { "" };
        let held = holder.held_bytes.map(|held| format!(", {}", bytes(held))).unwrap_or_default();
        fields.add("holder", &format!("{} {}{held}{who}", safe(&holder.peer), holder.state));
    }
    let Some(files) = files else {
        if done.invalid.is_none() {
            let why = done.missing_list.as_deref().unwrap_or("no peer sent it");
            fields.add("files", &format!("the list of files is not here: {}", safe(why)));
        }
        return fields.text();
    };
    let mut table = Table::new(screen, FILES);
    let files = table.text_of(files.iter().map(cells));
    format!("{}\n\n{}", fields.text(), files.trim_end())
}

/// The columns of files.
const FILES: [Column; 6] = [
    ("FILE", Fit::Cut),
    ("SIZE", Fit::Number),
    ("ROLE", Fit::Whole),
    ("PLATFORM", Fit::Cut),
    ("STATE", Fit::Whole),
    ("BLAKE3", Fit::Optional),
];

fn cells(file: &ArtifactRow) -> [Cell; 6] {
    let (brief, whole) = if file.held { ("", "held") } else { ("not here", "not here") };
    let exec = if file.exec { ", exec" } else { "" };
    let digest = file.blake3.to_hex();
    [
        Cell::same(safe(file.path.as_str())),
        Cell::same(bytes(file.size)),
        Cell::same(format!("{}{exec}", file.role)),
        Cell::same(safe(file.platform.as_deref().unwrap_or_default())),
        Cell::brief(brief, whole),
        Cell::brief(short(&digest), digest.as_str()),
    ]
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
        let shown = Shown {
            row: ReleaseRow {
                release: EntryId::from_bytes([0xab; 32]).into(),
                purl: Purl::parse("pkg:generic/a@1").unwrap(),
                publisher,
                publisher_name: Some(evil.into()),
                kind: PublisherKind::Archivist,
                issued_at: 0,
                artifacts: 1,
                bytes: 1,
                held_bytes: 0,
                state: Holding::Known,
                elsewhere: false,
            },
            followed: false,
            forked: false,
            license: evil.into(),
            list: blob,
            source: Some(evil.into()),
            notes: Some(evil.into()),
            agreeing: vec![publisher],
            disagreeing: vec![publisher],
            holders: Vec::new(),
            invalid: Some(evil.into()),
            missing_list: None,
        };
        let file = ArtifactRow {
            path: "x".parse().unwrap(),
            size: 1,
            blake3: blob,
            sha256: Sha256Digest::from_bytes([7; 32]),
            role: Role::Doc,
            media_type: evil.into(),
            platform: Some(evil.into()),
            exec: true,
            held: false,
        };
        let release = Release { shown, files: Some(vec![file]) };
        for width in [None, Some(80)] {
            let text = text(&release, &Screen { width, ..Screen::new(false, false) });
            assert!(!text.contains('\u{1b}'), "{text}");
            assert!(!text.lines().any(|line| line.starts_with("publisher")), "{text}");
            assert_eq!(text.lines().filter(|line| line.starts_with("by ")).count(), 1, "{text}");
            assert!(text.contains("archivist, not") && text.contains("not here"), "{text}");
            assert!(text.contains("STRANGER you do not trust"), "{text}");
            let fits = |line: &str| width.is_none_or(|width| line.chars().count() <= width);
            assert!(text.lines().all(fits), "{text}");
        }
    }
}
