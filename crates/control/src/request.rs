//! What a user may ask of a node.

use std::path::PathBuf;

use perennial_manifest::{Holding, PublisherKind};
use serde::{Deserialize, Serialize};

/// One request; a connection carries exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "args", rename_all = "kebab-case")]
pub enum Request {
    /// Store files, sign a release of them, announce it. Answer: `Done::Add`.
    Add(Add),
    /// Fetch from where something is published or saved, sign a release of each thing that came, announce it. A
    /// `Item::Imported` each, an `Item::NotImported` for what could not be had, then `Done::Import`.
    Import(Import),
    /// Bring a release or a blob here, and write it out when asked to. Answer: `Done::Get`.
    Get(Get),
    /// Releases held or known. A `Item::Release` each, then `Done::Listed`.
    Ls(Ls),
    /// Everything about one release. Answer: `Done::Show`.
    Show {
        /// What the user typed.
        selector: String,
        /// Whose release, where several publishers signed one.
        publisher: Option<String>,
    },
    /// Known releases whose names match words. A `Item::Release` each, then `Done::Listed`.
    Search {
        /// The words.
        text: String,
        /// Rows wanted, at most.
        limit: u32,
    },
    /// Fetch and keep what a publisher releases, and trust it for names. Answer: `Done::Ok`.
    Follow(Follow),
    /// Stop following. What is held stays until `gc`. Answer: `Done::Ok`, or not-found.
    Unfollow {
        /// Whom.
        target: Target,
    },
    /// A `Item::Follow` each, then `Done::Listed`.
    Follows,
    /// Keep a release or a blob whatever else happens. Answer: `Done::Pin`.
    Pin {
        /// What the user typed: a release id, a name, or `blake3:…`.
        selector: String,
        /// Whose release, where several publishers signed one.
        publisher: Option<String>,
    },
    /// Take a pin away. Answer: `Done::Pin` with the pin that is gone, or not-found.
    Unpin {
        /// What the user typed.
        selector: String,
        /// Whose release, where several publishers signed one.
        publisher: Option<String>,
    },
    /// A `Item::Pin` each, then `Done::Listed`.
    Pins,
    /// This node in numbers. Answer: `Done::Status`.
    Status,
    /// Connected peers. A `Item::Peer` each, then `Done::Listed`.
    Peers,
    /// The publisher key of this node (created when there is none). Answer: `Done::Key`.
    Key,
    /// Sign a merge of the branches of this node's own forked feed. Answer: `Done::Key`.
    Merge,
    /// Read every stored blob again. A `Item::Corrupt` for each that fails, then `Done::Verify`.
    Verify,
    /// Free what nothing needs. Answer: `Done::Gc`.
    Gc(Gc),
    /// Make the index again from the files. Answer: `Done::Rebuild`.
    RebuildIndex,
    /// Call these peers, now and whenever they are lost, until the node stops. Answer: `Done::Ok`, at once
    /// or when one of them is connected or the wait is over, whichever comes first; never an error for a peer
    /// that does not answer.
    Connect {
        /// Multiaddresses.
        peers: Vec<String>,
        /// How long to wait for the first of them; 0: do not wait.
        wait_ms: u32,
    },
    /// Stop the node in order. Answer: `Done::Ok`, before it does.
    Shutdown,
}

/// What to add and under which name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// Files and directories, absolute. A directory gives the artifacts below it, named relative to it; a file
    /// gives one artifact with its own name.
    pub paths: Vec<PathBuf>,
    /// The release's package URL, with a version.
    pub purl: String,
    /// SPDX expression; none means `NOASSERTION`.
    pub license: Option<String>,
    /// Licence texts that are not among the paths, absolute.
    pub license_files: Vec<PathBuf>,
    /// Refer to the files where they lie instead of copying them.
    pub in_place: bool,
    /// What this publisher is; none leaves what its profile says (`archivist` when it has none).
    pub kind: Option<PublisherKind>,
    /// Free text for people.
    pub notes: Option<String>,
}

/// What to import, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// From where.
    pub source: Source,
    /// SPDX expression; none means `NOASSERTION`.
    pub license: Option<String>,
    /// What this publisher is; none leaves what its profile says.
    pub kind: Option<PublisherKind>,
    /// Free text for people.
    pub notes: Option<String>,
    /// Call addresses inside private networks, too.
    pub allow_private: bool,
    /// Speak plain HTTP to registries.
    pub plain_http: bool,
}

/// Where something is published or saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Files by their URLs, as one release.
    Urls {
        /// `https://…`.
        urls: Vec<String>,
        /// The release's package URL, with a version.
        purl: String,
        /// Take a web page although an archive was asked for.
        html: bool,
    },
    /// Images of registries, a release each.
    Images {
        /// `docker://…`.
        references: Vec<String>,
        /// Every tag of each repository.
        all_tags: bool,
        /// `os/architecture[/variant]`; empty: all.
        platforms: Vec<String>,
        /// Where credentials are, instead of the files of podman and docker. Absolute.
        auth_file: Option<PathBuf>,
    },
    /// Images in an OCI layout, or in an archive of one or of `docker save`.
    Layout {
        /// `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, each with `:TAG` where there are several. Absolute.
        layout: String,
        /// The reference it is to be known by where the layout does not say.
        name: Option<String>,
    },
    /// A chart of a Helm repository.
    Chart {
        /// `https://…`.
        repository: String,
        /// Its name.
        name: String,
        /// Its version; none: the newest.
        version: Option<String>,
        /// Import the images that it names, too.
        with_images: bool,
    },
}

/// What to fetch and where to write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// What the user typed.
    pub selector: String,
    /// Resolve the name through this publisher alone.
    pub publisher: Option<String>,
    /// Directory to write the files to, absolute; none: only bring it into the store.
    pub output: Option<PathBuf>,
    /// Replace files that are there with other content.
    pub force: bool,
}

/// Which releases to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ls {
    /// Only what this matches.
    pub selector: Option<String>,
    /// Only of this publisher.
    pub publisher: Option<String>,
    /// Only in this state.
    pub state: Option<Holding>,
    /// Rows wanted, at most.
    pub limit: Option<u32>,
}

/// Whom a follow is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Every publisher heard of: a full archive node. Trusts nobody for names.
    All,
    /// One publisher: `did:key:…`, or the local name of one that is followed.
    Publisher(String),
}

/// A decision to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// Whom.
    pub target: Target,
    /// What to call it here.
    pub name: Option<String>,
}

/// How to collect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gc {
    /// Only say what would go.
    pub dry_run: bool,
    /// Spare what was touched in the last so many seconds; none: the node's setting.
    pub grace_seconds: Option<u64>,
}
