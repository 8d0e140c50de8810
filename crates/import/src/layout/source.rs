//! `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, each perhaps with the name of an image in it, as skopeo writes them.

use std::path::PathBuf;
use std::str::FromStr;

use crate::ImportError;

/// How images were saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    OciArchive,
    DockerArchive,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Dir => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
        }
    }
}

/// An archive, and which image of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) wanted: Option<String>,
}

impl FromStr for Source {
    type Err = ImportError;

    fn from_str(text: &str) -> Result<Self, ImportError> {
        let kinds = [Kind::Dir, Kind::OciArchive, Kind::DockerArchive];
        let found = kinds.into_iter().find_map(|kind| {
            let rest = text.strip_prefix(kind.as_str())?.strip_prefix(':')?;
            (!rest.is_empty()).then_some((kind, rest))
        });
        let Some((kind, rest)) = found else {
            let reason =
                "is no archive of images (`oci:DIR`, `oci-archive:FILE` or `docker-archive:FILE`)";
            return Err(ImportError::Usage(format!("{text:?} {reason}")));
        };
        // a colon may be part of the path, and of what is behind it: the shortest path that is there
        let ends = rest.match_indices(':').map(|(at, _)| at).filter(|at| *at > 0);
        let whole = PathBuf::from(rest);
        let split = if whole.exists() {
            None
        } else {
            ends.into_iter().find(|at| PathBuf::from(&rest[..*at]).exists())
        };
        Ok(match split {
            Some(at) => {
                Self { kind, path: rest[..at].into(), wanted: Some(rest[at + 1..].to_owned()) }
            }
            None => Self { kind, path: whole, wanted: None },
        })
    }
}
