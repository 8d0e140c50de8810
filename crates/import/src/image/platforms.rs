//! Requested platforms in the notation of `--platform`: `linux/arm64`, `linux/arm/v7`.

use perennial_manifest::{Platform, PlatformError};
use perennial_oci::Descriptor;

use crate::ImportError;

/// Requested platforms; an empty list means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platforms(Vec<Platform>);

impl Platforms {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, ImportError> {
        let parsed = texts.iter().map(|text| {
            text.parse().map_err(|error: PlatformError| ImportError::Usage(error.to_string()))
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a child of an index is wanted. A child without a platform serves all of them; one
    /// marked `unknown`, such as an attestation, comes with the image it belongs to.
    pub(crate) fn want(&self, child: &Descriptor) -> bool {
        match child.platform() {
            Some(platform) => self.name(platform),
            None => self.are_all() || !child.states_platform(),
        }
    }

    /// Whether a platform is requested. A request without a variant matches every variant.
    fn name(&self, platform: &Platform) -> bool {
        self.are_all() || self.0.iter().any(|wanted| wanted.is_met_by(platform))
    }
}
