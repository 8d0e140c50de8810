//! Requested platforms in the notation of `--platform`: `linux/arm64`, `linux/arm/v7`.

use perennial_manifest::Platform;
use perennial_oci::Descriptor;

use crate::ImportError;

/// Requested platforms; an empty list means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platforms(Vec<Platform>);

impl Platforms {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, ImportError> {
        let read = |text: &String| {
            let parts: Vec<_> = text.split('/').collect();
            let (os, arch, variant) = match parts[..] {
                [os, arch] => (os, arch, None),
                [os, arch, variant] => (os, arch, Some(variant)),
                _ => return None,
            };
            parts.iter().all(|part| !part.is_empty()).then(|| Platform {
                os: os.to_owned(),
                arch: arch.to_owned(),
                variant: variant.map(str::to_owned),
            })
        };
        let parsed = texts.iter().map(|text| {
            read(text).ok_or_else(|| {
                ImportError::Usage(format!(
                    "{text:?} is not a platform (`os/arch` or `os/arch/variant`)"
                ))
            })
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
        self.are_all()
            || self.0.iter().any(|wanted| {
                (&wanted.os, &wanted.arch) == (&platform.os, &platform.arch)
                    && (wanted.variant.is_none() || wanted.variant == platform.variant)
            })
    }
}

/// A platform in the form that `--platform` takes.
pub(crate) fn show(platform: &Platform) -> String {
    let variant =
        platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.arch)
}
