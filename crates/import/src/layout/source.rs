//! `oci:DIR`, `oci-archive:FILE` and `docker-archive:FILE`, each optionally followed by the name of
//! an image, in skopeo's notation.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::ImportError;

/// The format of the saved images.
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

/// An archive, and the requested image in it.
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
            let reason = "is not an archive of images (`oci:DIR`, `oci-archive:FILE` or \
                `docker-archive:FILE`)";
            return Err(ImportError::Usage(format!("{text:?} {reason}")));
        };
        // A colon may belong to the path or precede the image name: the shortest path that leads to
        // such an archive wins.
        let ends = rest.match_indices(':').map(|(at, _)| at).filter(|at| *at > 0);
        let whole = PathBuf::from(rest);
        let is_one = |at: &usize| {
            let path = Path::new(&rest[..*at]);
            if kind == Kind::Dir { path.is_dir() } else { path.is_file() }
        };
        let split = if whole.exists() { None } else { ends.into_iter().find(is_one) };
        Ok(match split {
            Some(at) => {
                let wanted = Some(rest[at + 1..].to_owned()).filter(|name| !name.is_empty());
                Self { kind, path: rest[..at].into(), wanted }
            }
            None => Self { kind, path: whole, wanted: None },
        })
    }
}
