//! The files of an image, by digest, and the choice among its platforms.

use std::collections::{BTreeMap, BTreeSet};

use perennial_manifest::{Artifact, ArtifactList, ArtifactPath, Platform, ReleaseId, Role};
use perennial_oci::{
    DOCKER_PATH, DOCKER_TYPE, Descriptor, Digest, HEADER_PATH, INDEX_PATH, MAX_DEPTH, MAX_MANIFEST,
    Manifest, OCI_INDEX, Repository, Version, docker_list, index_of_one, is_image_config,
    name_index,
};
use perennial_store::Store;
use serde_json::Value;

use super::{Image, ImageError};

/// The files of an image in a store.
pub(super) struct Files<'a> {
    store: &'a Store,
    list: &'a ArtifactList,
    by_path: BTreeMap<&'a str, &'a Artifact>,
}

impl<'a> Files<'a> {
    pub(super) fn new(store: &'a Store, list: &'a ArtifactList) -> Self {
        let by_path = list.iter().map(|artifact| (artifact.path.as_str(), artifact)).collect();
        Self { store, list, by_path }
    }

    /// The image as engines take it.
    pub(super) fn image(
        &self,
        release: ReleaseId,
        platform: Option<&Platform>,
    ) -> Result<Image, ImageError> {
        let (root, names) = self.root(release)?;
        let chosen = platform.map(|platform| self.choose(&root, Some(platform))).transpose()?;
        // docker loads one platform: the caller's, or else this machine's, or else the first.
        let for_docker = match &chosen {
            Some(chosen) => Some(chosen.clone()),
            None => {
                let here = self.choose(&root, Some(&here())).ok();
                here.or_else(|| self.choose(&root, None).ok())
            }
        };
        let docker = for_docker.map(|image| self.docker(&image, &names)).transpose()?.flatten();
        let (index, mut artifacts) = match &chosen {
            Some(chosen) => (index_of_one(chosen, &names)?, self.parts(chosen)?),
            None => {
                let index = name_index(&self.read(INDEX_PATH)?, &root.digest, &names)?;
                (index, self.list.iter().cloned().collect())
            }
        };
        artifacts.retain(|a| !matches!(a.path.as_str(), INDEX_PATH | DOCKER_PATH));
        let for_docker = docker.is_some();
        let made = [(INDEX_PATH, OCI_INDEX, Some(index)), (DOCKER_PATH, DOCKER_TYPE, docker)];
        let mut batch = self.store.batch();
        for (path, media_type, bytes) in made {
            let Some(bytes) = bytes else { continue };
            let added = batch.add_bytes(bytes)?;
            artifacts.push(added.artifact(ArtifactPath::parse(path)?, Role::Index, media_type));
        }
        let lease = batch.commit()?;
        let digest = chosen.map_or(root.digest, |chosen| chosen.digest);
        Ok(Image { list: ArtifactList::new(artifacts)?, names, digest, for_docker, _lease: lease })
    }

    /// The manifest that a release is about, and its full names.
    pub(super) fn root(&self, release: ReleaseId) -> Result<(Descriptor, Vec<String>), ImageError> {
        let signed = self.store.entry(&release.entry())?;
        let release = signed.as_ref().and_then(|entry| entry.release().map(|(_, release)| release));
        let tags: Vec<(&str, Digest)> = release
            .into_iter()
            .flat_map(|release| &release.tags)
            .filter_map(|(name, digest)| Some((name.as_str(), digest.parse().ok()?)))
            .collect();
        let index = self.manifest(INDEX_PATH)?;
        let is_tagged = |child: &&Descriptor| tags.iter().any(|(_, tag)| *tag == child.digest);
        let children = index.children();
        let root = children.iter().find(is_tagged).or(children.first());
        let root = root.ok_or_else(|| ImageError::Missing(INDEX_PATH.to_owned()))?.clone();
        let named = tags.iter().filter(|(_, digest)| *digest == root.digest);
        let mut names: Vec<String> = named.map(|(name, _)| (*name).to_owned()).collect();
        if let (Some(release), true) = (release, names.is_empty())
            && let Some(Ok(Version::Tag(tag))) = release.purl.version().map(str::parse)
            && let Some(repository) = Repository::of_purl(&release.purl)
        {
            names.push(format!("{repository}:{tag}"));
        }
        Ok((root, names))
    }

    /// The manifest below `root` of the image for a platform, or of the first image.
    pub(super) fn choose(
        &self,
        root: &Descriptor,
        platform: Option<&Platform>,
    ) -> Result<Descriptor, ImageError> {
        let mut known = BTreeSet::new();
        let found = self.find(root, platform, 0, &mut known)?;
        found.ok_or_else(|| match platform {
            Some(wanted) => {
                ImageError::Platform { wanted: wanted.clone(), known: known.into_iter().collect() }
            }
            None => ImageError::Missing(root.digest.path()),
        })
    }

    fn find(
        &self,
        at: &Descriptor,
        wanted: Option<&Platform>,
        depth: usize,
        known: &mut BTreeSet<String>,
    ) -> Result<Option<Descriptor>, ImageError> {
        let manifest = self.manifest(&at.digest.path())?;
        if !manifest.is_index() {
            let stated = at.platform().cloned();
            let platform = stated.or_else(|| self.config_platform(&manifest));
            let fits = match (wanted, &platform) {
                (Some(wanted), Some(platform)) => wanted.is_met_by(platform),
                (Some(_), None) => false,
                (None, _) => true,
            };
            known.extend(platform.map(|platform| platform.to_string()));
            return Ok(fits.then(|| at.clone()));
        }
        let images = manifest
            .children()
            .iter()
            .filter(|child| child.is_manifest() && child.attests().is_none() && depth < MAX_DEPTH);
        for child in images {
            // What another platform needs may not be here.
            let is_other = match (wanted, child.platform()) {
                (Some(wanted), Some(stated)) if !wanted.is_met_by(stated) => {
                    known.insert(stated.to_string());
                    true
                }
                _ => !self.by_path.contains_key(child.digest.path().as_str()),
            };
            if is_other {
                continue;
            }
            if let Some(found) = self.find(child, wanted, depth + 1, known)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The platform in the config of an image whose index states none.
    fn config_platform(&self, manifest: &Manifest) -> Option<Platform> {
        let config = manifest.config.as_ref().filter(|config| is_image_config(config))?;
        let config: Value = serde_json::from_slice(&self.read(&config.digest.path()).ok()?).ok()?;
        let word =
            |key: &str| config.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
        let variant = word("variant").map(str::to_owned);
        Some(Platform {
            os: word("os")?.to_owned(),
            arch: word("architecture")?.to_owned(),
            variant,
        })
    }

    /// The files that one manifest needs, and the one that marks a layout.
    pub(super) fn parts(&self, manifest: &Descriptor) -> Result<Vec<Artifact>, ImageError> {
        let content = self.manifest(&manifest.digest.path())?;
        let mut paths: BTreeSet<String> =
            BTreeSet::from([HEADER_PATH.to_owned(), manifest.digest.path()]);
        let blobs = content.config.iter().chain(&content.layers).chain(content.children());
        paths.extend(blobs.map(|blob| blob.digest.path()));
        // Layers that may not be passed on are not in the list.
        let found = paths.iter().filter_map(|path| self.by_path.get(path.as_str()));
        Ok(found.map(|artifact| (*artifact).clone()).collect())
    }

    /// docker's list for one image; `None` if docker cannot run it or lacks a layer.
    fn docker(&self, image: &Descriptor, names: &[String]) -> Result<Option<Vec<u8>>, ImageError> {
        let manifest = self.manifest(&image.digest.path())?;
        let has = |blob: &Descriptor| self.by_path.contains_key(blob.digest.path().as_str());
        let config = manifest.config.as_ref().filter(|config| is_image_config(config));
        let Some(config) = config.filter(|config| has(config)) else { return Ok(None) };
        if !manifest.layers.iter().all(has) {
            return Ok(None);
        }
        let layers = manifest.layers.iter().map(|layer| layer.digest);
        Ok(Some(docker_list(&config.digest, layers, names)?))
    }

    fn manifest(&self, path: &str) -> Result<Manifest, ImageError> {
        Manifest::parse(&self.read(path)?)
            .map_err(|source| ImageError::Manifest { path: path.to_owned(), source })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        let artifact = self.by_path.get(path).filter(|artifact| artifact.size <= MAX_MANIFEST);
        let artifact = artifact.ok_or_else(|| ImageError::Missing(path.to_owned()))?;
        let mut bytes = Vec::new();
        self.store.copy_out(&artifact.blake3, &mut bytes)?;
        Ok(bytes)
    }
}

/// The platform of this machine, in the words of OCI.
fn here() -> Platform {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    Platform { os: "linux".to_owned(), arch: arch.to_owned(), variant: None }
}
