//! Secrets in statements that were signed already.
//!
//! Finds what [`Origin`] would leave out today in statements of earlier versions, or of other
//! programs. Names the place, never the secret.

use crate::{Artifact, Body, Origin};

/// A field of a statement, or of its artifact list, with secrets in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// The field, in words.
    pub field: String,
    /// Its text without the secrets, and a description of each.
    pub origin: Origin,
}

impl Exposed {
    /// The exposed fields of a statement. Statements of unknown kinds have none that are known.
    #[must_use]
    pub fn in_body(body: &Body) -> Vec<Self> {
        let mut found = Found::default();
        match body {
            Body::Profile(profile) => {
                found.look("name", &profile.name);
                found.all("contact", profile.contact.iter());
                found.all("claim", &profile.claims);
            }
            Body::Release(release) => {
                found.add("package URL", Origin::of_purl(&release.purl));
                found.all("source", release.source.iter().map(|source| &source.vcs));
                found.all("place of origin", release.acquired.iter().map(|from| &from.from));
                found.all("notes", release.notes.iter());
                found.all("tag", release.tags.keys());
            }
            Body::Observation(seen) => found.look("observed URL", &seen.url),
            Body::Status(status) => {
                found.look("text", &status.text);
                found.all("reference", &status.references);
            }
            Body::Merge(merge) => found.all("reason", merge.reason.iter()),
            Body::Rotate(_) | Body::Unknown { .. } => {}
        }
        found.0
    }

    /// The exposed origins of a file of a release, and its name if that is one.
    #[must_use]
    pub fn in_artifact(artifact: &Artifact) -> Vec<Self> {
        let mut found = Found::default();
        found.add("name of a file", Origin::of_path(&artifact.path));
        let path = Origin::of_path(&artifact.path).text;
        found.all(&format!("origin of {path}"), &artifact.origins);
        found.0
    }
}

#[derive(Default)]
struct Found(Vec<Exposed>);

impl Found {
    fn look(&mut self, field: &str, text: &str) {
        self.add(field, Origin::of(text));
    }

    fn all<'a>(&mut self, field: &str, texts: impl IntoIterator<Item = &'a String>) {
        texts.into_iter().for_each(|text| self.look(field, text));
    }

    fn add(&mut self, field: &str, origin: Origin) {
        if !origin.is_whole() {
            self.0.push(Exposed { field: field.to_owned(), origin });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Acquired, ArtifactListRef, ArtifactPath, BlobId, Merge, Observation, Profile,
        PublisherKind, Purl, Release, Role, Sha256Digest, Source, Status, StatusKind, Target,
        Verdict,
    };

    const SECRET: &str = "https://me:pw@a.test/x?private_token=SECRET";

    fn fields(found: &[Exposed]) -> Vec<&str> {
        found.iter().map(|exposed| exposed.field.as_str()).collect()
    }

    fn release(text: &str, purl: &str) -> Body {
        let list = ArtifactListRef { blob: BlobId::of(b"l"), count: 1, bytes: 1, size: 1 };
        let mut release = Release::new(Purl::parse(purl).unwrap(), list);
        release.source = Some(Source { vcs: text.to_owned(), commit: None });
        release.acquired =
            Some(Acquired { at: 0, from: text.to_owned(), tool: "perennial/0".into() });
        release.notes = Some(format!("from {text}, they say"));
        release.tags.insert("quay.io/a/b:1".into(), "sha256:00".into());
        Body::Release(Box::new(release))
    }

    #[test]
    fn every_field_that_can_have_a_secret_is_looked_at() {
        let text = SECRET.to_owned();
        let observed = Observation {
            url: text.clone(),
            fetched_at: 0,
            status: None,
            etag: None,
            last_modified: None,
            size: None,
            blake3: None,
            sha256: None,
            verdict: Verdict::Same,
        };
        let profile = Profile {
            name: "me".into(),
            publisher_kind: PublisherKind::Archivist,
            contact: Some(text.clone()),
            claims: vec![text.clone(), "https://a.test/".into()],
        };
        let status = Status {
            target: Target::Blob(BlobId::of(b"x")),
            status: StatusKind::Advisory,
            text: format!("see {text}"),
            references: vec![text.clone()],
        };
        let named = "pkg:generic/x@1?download_url=https://a.test/x%3Ftoken%3DSECRET";
        let cases = [
            (release(SECRET, named), &["package URL", "source", "place of origin", "notes"][..]),
            (release("https://a.test/x?v=1", "pkg:generic/x@1?download_url=https://a.test/x"), &[]),
            (Body::Observation(observed), &["observed URL"]),
            (Body::Profile(profile), &["contact", "claim"]),
            (Body::Status(status), &["text", "reference"]),
            (Body::Merge(Merge { reason: Some(text.clone()) }), &["reason"]),
        ];
        for (body, expected) in cases {
            let found = Exposed::in_body(&body);
            assert_eq!(fields(&found), expected);
            for Exposed { origin, .. } in &found {
                let said = format!("{} {:?}", origin.text, origin.withheld);
                assert!(!said.contains("SECRET") && !said.contains("pw"), "{said}");
            }
        }
        let artifact = Artifact {
            path: ArtifactPath::parse("x").unwrap(),
            size: 1,
            blake3: BlobId::of(b"x"),
            sha256: Sha256Digest::from_bytes([7; 32]),
            media_type: "text/plain".into(),
            role: Role::Doc,
            platform: None,
            exec: false,
            origins: vec!["https://a.test/x".into(), text],
        };
        assert_eq!(fields(&Exposed::in_artifact(&artifact)), ["origin of x"]);
        let path = ArtifactPath::parse("d/x;jsessionid=SECRET").unwrap();
        let found = Exposed::in_artifact(&Artifact { path, ..artifact });
        assert_eq!(fields(&found), ["name of a file", "origin of d/x"]);
        assert_eq!(found[0].origin.text, "d/x");
    }
}
