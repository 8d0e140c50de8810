//! YAML of strangers, within bounds.

use serde::de::DeserializeOwned;
use serde_saphyr::options::DuplicateKeyPolicy;

/// Most nodes of a file that people write.
pub(super) const MAX_NODES: usize = 250_000;

/// Reads a document of at most so many nodes. Depth and aliases are bounded, too; of a key that is there twice, the last
/// counts, as for Helm.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8], max_nodes: usize) -> Result<T, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: max_nodes, max_events: max_nodes.saturating_mul(2) },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(text, options).map_err(|e| {
        let said = e.to_string();
        said.chars().filter(|c| !c.is_control()).take(200).collect()
    })
}
