//! Lists the images that a chart names in values, templates and annotations, without rendering it;
//! subcharts included.
//!
//! The result is a list of candidates. The values at installation decide which images are used, so
//! the list may hold images that an installation does not need, and it misses names that templates
//! assemble.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use perennial_oci::{Reference, starts_with_registry};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::archive::{self, Files, image_name};
use super::index::yaml;
use crate::ImportError;

/// Most YAML nodes in a hand-written file.
const MAX_NODES: usize = 250_000;

/// Annotations that list images (Artifact Hub's and Bitnami's).
const ANNOTATIONS: [&str; 2] = ["artifacthub.io/images", "images"];

/// Returns the image names in a chart archive as the chart writes them, sorted and without
/// duplicates.
///
/// # Errors
/// [`ImportError::Unfit`] if the archive or its YAML cannot be read within bounds.
pub fn images_of(mut tgz: impl Read) -> Result<Vec<String>, ImportError> {
    let files = archive::read(&mut tgz)?;
    let mut found = BTreeSet::new();
    collect(&files, "the chart", &Value::Null, &Value::Null, &mut found)?;
    Ok(found.into_iter().collect())
}

/// `Chart.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    name: Option<String>,
    app_version: Option<String>,
    annotations: Option<BTreeMap<String, Option<String>>>,
    dependencies: Option<Vec<Dependency>>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: Option<String>,
    alias: Option<String>,
}

/// The registry that overrides those of the images, and the tag of images without one; empty if
/// unset.
struct Defaults {
    registry: String,
    tag: String,
}

/// Collects the images of a chart. The values of the parent chart override its own, as in Helm.
fn collect(
    files: &Files,
    what: &str,
    overrides: &Value,
    global: &Value,
    found: &mut BTreeSet<String>,
) -> Result<(), ImportError> {
    let about: About = parsed(&files.about, what, "Chart.yaml")?;
    let mut values: Value = parsed(&files.values, what, "values.yaml")?;
    merge(&mut values, overrides);
    let mut all = values.get("global").cloned().unwrap_or_default();
    merge(&mut all, global);
    for (file, chart) in &files.charts {
        let inner: About = parsed(&chart.about, file, "Chart.yaml")?;
        let name = inner.name.unwrap_or_else(|| file.clone());
        let of_it =
            about.dependencies.iter().flatten().filter(|one| one.name.as_ref() == Some(&name));
        let mut keys: BTreeSet<_> = of_it.filter_map(|one| one.alias.clone()).collect();
        keys.insert(name);
        for key in keys {
            let own =
                values.as_object_mut().and_then(|values| values.remove(&key)).unwrap_or_default();
            collect(chart, file, &own, &all, found)?;
        }
    }
    let tag =
        [text(all.get("imageTag")), text(all.get("tag")), about.app_version.unwrap_or_default()];
    let defaults = Defaults {
        registry: text(all.get("imageRegistry")),
        tag: tag.into_iter().find(|tag| !tag.is_empty()).unwrap_or_default(),
    };
    walk(&values, false, &defaults, found);
    found.extend(files.literals.iter().cloned());
    let plain = Defaults { registry: String::new(), tag: String::new() };
    for list in
        ANNOTATIONS.iter().filter_map(|key| about.annotations.as_ref()?.get(*key)?.as_deref())
    {
        // Annotations are free text, so malformed YAML is not an error.
        let list = yaml(list.as_bytes(), MAX_NODES).unwrap_or(Value::Null);
        walk(&list, false, &plain, found);
        let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        found.extend(names.filter_map(image_name));
    }
    Ok(())
}

fn parsed<T: serde::de::DeserializeOwned + Default>(
    text: &[u8],
    chart: &str,
    file: &str,
) -> Result<T, ImportError> {
    if text.is_empty() {
        return Ok(T::default());
    }
    yaml(text, MAX_NODES)
        .map_err(|reason| ImportError::Unfit { what: format!("{file} of {chart}"), reason })
}

/// Merges `over` into `values`: maps are merged, lists and scalars replaced; a null changes
/// nothing.
fn merge(values: &mut Value, over: &Value) {
    match (values, over) {
        (_, Value::Null) => {}
        (Value::Object(values), Value::Object(over)) => {
            for (key, over) in over {
                merge(values.entry(key).or_insert(Value::Null), over);
            }
        }
        (values, over) => *values = over.clone(),
    }
}

fn walk(value: &Value, is_image: bool, defaults: &Defaults, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| walk(value, false, defaults, found)),
        Value::Object(map) => {
            found.extend(put_together(map, is_image, defaults));
            for (key, value) in map {
                let is_image = key == "image" || key.ends_with("Image");
                if let (true, Value::String(name)) = (is_image, value) {
                    found.extend(with_tag(name, map));
                }
                walk(value, is_image, defaults, found);
            }
        }
        _ => {}
    }
}

/// The image of `image: name`, with the tag beside it if the name has none.
fn with_tag(name: &str, beside: &Map<String, Value>) -> Option<String> {
    let tag = [text(beside.get("imageTag")), text(beside.get("tag"))]
        .into_iter()
        .find(|tag| !tag.is_empty());
    match tag {
        Some(tag) if !Reference::has_version(name) => image_name(&format!("{name}:{tag}")),
        _ => image_name(name),
    }
}

/// Assembles a name from `{registry, repository, tag, digest}`. Under an image key the repository
/// suffices; elsewhere one of the other keys must be present.
fn put_together(map: &Map<String, Value>, is_image: bool, defaults: &Defaults) -> Option<String> {
    let [registry, mut repository, tag, digest] =
        ["registry", "repository", "tag", "digest"].map(|key| text(map.get(key)));
    if is_image && repository.is_empty() {
        repository = text(map.get("name"));
    }
    let is_one = is_image || ["registry", "tag", "digest"].iter().any(|key| map.contains_key(*key));
    if !is_one || repository.is_empty() {
        return None;
    }
    let mut name = String::new();
    let registry = if defaults.registry.is_empty() { registry } else { defaults.registry.clone() };
    if !registry.is_empty() && !starts_with_registry(&repository) {
        name = format!("{}/", registry.trim_end_matches('/'));
    }
    name.push_str(&repository);
    let tag = if tag.is_empty() && digest.is_empty() { &defaults.tag } else { &tag };
    if !tag.is_empty() && !Reference::has_version(&repository) {
        name = format!("{name}:{tag}");
    }
    if !digest.is_empty() {
        name = format!("{name}@{digest}");
    }
    image_name(&name)
}

/// A scalar as text; numbers as Helm prints them.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        },
        _ => String::new(),
    }
}
