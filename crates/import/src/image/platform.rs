//! Which platforms are wanted, in the words of `--platform`: `linux/arm64`, `linux/arm/v7`.

use oci_spec::image::Descriptor;
use perennial_manifest::Platform;

use crate::ImportError;

/// The platforms that are wanted; none named means all.
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
                    "{text:?} is no platform (`os/arch` or `os/arch/variant`)"
                ))
            })
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this one is wanted. Without a variant, every variant is meant.
    pub(crate) fn want(&self, platform: &Platform) -> bool {
        self.all()
            || self.0.iter().any(|wanted| {
                (&wanted.os, &wanted.arch) == (&platform.os, &platform.arch)
                    && (wanted.variant.is_none() || wanted.variant == platform.variant)
            })
    }
}

/// What an index says that one of its manifests runs on. `unknown` is how builders say that it does not run.
pub(crate) fn platform_of(descriptor: &Descriptor) -> Option<Platform> {
    let said = descriptor.platform().as_ref()?;
    let plain = |text: String| {
        let good = !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control);
        (good && text != "unknown").then_some(text)
    };
    Some(Platform {
        os: plain(said.os().to_string())?,
        arch: plain(said.architecture().to_string())?,
        variant: said.variant().clone().and_then(plain),
    })
}

/// As `--platform` takes it.
pub(crate) fn show(platform: &Platform) -> String {
    let variant =
        platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.arch)
}
