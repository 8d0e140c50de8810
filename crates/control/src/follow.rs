//! Followed publishers.

use std::fmt;
use std::str::FromStr;

use perennial_manifest::{FollowName, NamePattern, PublisherId, PublisherKind, PublisherRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A publisher or all of them, written as the publisher's text or as `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<P> {
    /// Every publisher known to the node: a full archive node. Trusts none of them for names.
    All,
    /// One publisher.
    Publisher(P),
}

impl<P: fmt::Display> fmt::Display for Target<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::All => f.write_str("all"),
            Target::Publisher(publisher) => publisher.fmt(f),
        }
    }
}

impl<P: FromStr> FromStr for Target<P> {
    type Err = P::Err;

    fn from_str(text: &str) -> Result<Target<P>, P::Err> {
        if text == "all" { Ok(Target::All) } else { text.parse().map(Target::Publisher) }
    }
}

impl<P: fmt::Display> Serialize for Target<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, P: FromStr<Err: fmt::Display>> Deserialize<'de> for Target<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A publisher to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The publisher, or all.
    pub target: Target<PublisherId>,
    /// The user's name for the publisher; none keeps the current name.
    pub name: Option<FollowName>,
    /// Keep only releases with such names, of one publisher; none without a pattern.
    #[serde(default)]
    pub only: Option<Vec<NamePattern>>,
}

/// A publisher to stop following.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfollow {
    /// The publisher, by id or by name, or all.
    pub target: Target<PublisherRef>,
}

/// The publisher that is no longer followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfollowed {
    /// `did:key:…`, or `all`.
    pub publisher: Target<PublisherId>,
}

/// The request for all follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follows;

/// A followed publisher, or the follow of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowRow {
    /// `did:key:…`, or `all`.
    pub publisher: Target<PublisherId>,
    /// The user's name for the publisher.
    pub name: Option<String>,
    /// The names of the releases that are kept, if not all are.
    pub only: Option<Vec<NamePattern>>,
    /// The kind that the publisher declares, once its profile is known.
    pub kind: Option<PublisherKind>,
    /// Number of its releases known to the node.
    pub releases: u64,
    /// Number of its releases that are held.
    pub held_releases: u64,
    /// Set if its feed is forked.
    pub forked: bool,
    /// The key that it handed its feed over to, which is followed as well.
    #[serde(default)]
    pub successor: Option<PublisherId>,
    /// The key that handed its feed over to this one, which is followed for that reason.
    #[serde(default)]
    pub predecessor: Option<PublisherId>,
}
