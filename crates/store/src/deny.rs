//! The deny list as plain data: what is refused, and the reason to give.

use std::collections::BTreeMap;
use std::fmt;

use perennial_manifest::{BlobId, DenyTarget, PublisherId, Purl, Sha256Digest};
use serde::{Deserialize, Serialize};

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What was asked for.
    what: String,
    /// The line of the deny list that covers it.
    by: DenyTarget,
    /// The owner's reason; empty if none was given.
    reason: String,
}

impl Denial {
    /// The denial of exactly this.
    #[must_use]
    pub fn new(by: DenyTarget, reason: String) -> Self {
        Self { what: by.to_string(), by, reason }
    }

    /// The line of the deny list that covers it.
    #[must_use]
    pub const fn by(&self) -> &DenyTarget {
        &self.by
    }

    /// The same, said of something else that it covers.
    pub(crate) fn of(self, what: &impl fmt::Display) -> Self {
        Self { what: what.to_string(), ..self }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by.to_string();
        write!(f, "{} is on this node's deny list", self.what)?;
        if by != self.what {
            write!(f, " (as {by})")?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// All that is denied, with reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DenyList(BTreeMap<DenyTarget, String>);

impl DenyList {
    pub(crate) const fn targets(&self) -> &BTreeMap<DenyTarget, String> {
        &self.0
    }

    pub(crate) fn insert(&mut self, target: DenyTarget, reason: String) {
        self.0.insert(target, reason);
    }

    pub(crate) fn remove(&mut self, target: &DenyTarget) -> bool {
        self.0.remove(target).is_some()
    }

    /// Whether a digest is denied by its SHA-256.
    pub(crate) fn has_sha256(&self) -> bool {
        self.0.keys().any(|target| matches!(target, DenyTarget::Sha256(_)))
    }

    /// Whether releases are denied.
    pub(crate) fn has_releases(&self) -> bool {
        // Digests are sorted before them.
        self.0.keys().next_back().is_some_and(DenyTarget::is_of_releases)
    }

    /// The line for exactly this.
    pub(crate) fn get(&self, target: &DenyTarget) -> Option<Denial> {
        self.0.get(target).map(|reason| Denial::new(target.clone(), reason.clone()))
    }

    /// The line that covers bytes with these digests.
    pub(crate) fn of_bytes(&self, blob: &BlobId, sha256: Option<&Sha256Digest>) -> Option<Denial> {
        if self.0.is_empty() {
            return None;
        }
        let by_sha256 = || sha256.and_then(|sha256| self.get(&(*sha256).into()));
        self.get(&(*blob).into()).or_else(by_sha256).map(|denial| denial.of(blob))
    }

    /// The line that covers a release, by its publisher or its name.
    pub(crate) fn of_release(&self, publisher: &PublisherId, purl: &Purl) -> Option<Denial> {
        if !self.has_releases() {
            return None;
        }
        let by_name = || {
            let (by, reason) = self.0.iter().find(|(target, _)| target.covers(publisher, purl))?;
            Some(Denial::new(by.clone(), reason.clone()))
        };
        self.get(&(*publisher).into()).or_else(by_name).map(|denial| denial.of(purl))
    }

    /// The package URLs that are denied.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Purl> {
        self.0.keys().filter_map(|target| match target {
            DenyTarget::Package(purl) => Some(purl),
            _ => None,
        })
    }

    /// Whether a publisher is denied.
    pub(crate) fn has_publisher(&self, publisher: &PublisherId) -> bool {
        self.0.contains_key(&DenyTarget::Publisher(*publisher))
    }

    /// Whether any publisher is denied.
    pub(crate) fn has_publishers(&self) -> bool {
        self.0.keys().next_back().is_some_and(|last| matches!(last, DenyTarget::Publisher(_)))
    }
}

#[cfg(test)]
mod tests {
    use perennial_manifest::Keypair;

    use super::*;

    #[test]
    fn a_list_of_an_earlier_version_is_one_of_digests() {
        let blob = BlobId::of(b"x");
        let list: DenyList =
            serde_json::from_str(&format!(r#"{{"{blob}": "a court order"}}"#)).unwrap();
        let denial = list.of_bytes(&blob, None).unwrap();
        assert_eq!(
            denial.to_string(),
            format!("{blob} is on this node's deny list: a court order")
        );
        assert!(!list.has_releases() && !list.has_sha256() && !list.has_publishers());
    }

    #[test]
    fn a_denial_names_what_was_asked_and_the_line_that_covers_it() {
        let publisher = Keypair::from_seed([1; 32]).id();
        let purl: Purl = "pkg:generic/a@1".parse().unwrap();
        let mut list = DenyList::default();
        list.insert(Purl::parse("pkg:generic/a").unwrap().into(), "malware".into());
        let denial = list.of_release(&publisher, &purl).unwrap().to_string();
        assert_eq!(
            denial,
            "pkg:generic/a@1 is on this node's deny list (as pkg:generic/a): malware"
        );
        list.insert(publisher.into(), String::new());
        let denial = list.of_release(&publisher, &purl).unwrap();
        assert_eq!(denial.by(), &publisher.into());
        assert!(denial.to_string().ends_with(&format!("deny list (as {publisher})")));
        assert!(list.has_releases() && list.has_publishers() && list.has_publisher(&publisher));
        assert!(list.remove(&publisher.into()) && !list.remove(&publisher.into()));
    }
}
