//! The last step before a signature: what looks like a secret is taken out of a draft.
//!
//! Importers do this for the URLs that they call. Here it holds for whatever a release is made of,
//! the user's own words included, because a signed entry cannot be taken back.

use perennial_manifest::{Draft, Origin};

use crate::archive::ArchiveError;

/// What to do if a part is wanted. Users and passwords are never signed.
const KEEP: &str = "--keep-query signs URLs as they are, but for users and passwords";
/// The parts that are signed then.
const KEPT: [&str; 3] = [" the query", " the path", "the fragment"];

/// Takes secrets out of a draft. Returns a sentence for each; `said` are those that the importer
/// took out.
pub(super) fn withhold(
    draft: &mut Draft,
    keep_query: bool,
    said: Vec<String>,
) -> Result<Vec<String>, ArchiveError> {
    let mut remarks = said;
    let named = Origin::of_purl(&draft.purl);
    if !keep_query && !named.is_whole() {
        return Err(ArchiveError::SecretInName {
            purl: named.text,
            parts: named.withheld.join(", "),
        });
    }
    let mut publish = |text: &mut String| {
        let origin = if keep_query { Origin::whole(text) } else { Origin::of(text) };
        for said in origin.remarks() {
            if !remarks.contains(&said) {
                remarks.push(said);
            }
        }
        *text = origin.text;
    };
    publish(&mut draft.from);
    draft.notes.iter_mut().for_each(&mut publish);
    draft.observations.iter_mut().for_each(|seen| publish(&mut seen.url));
    draft.artifacts.iter_mut().flat_map(|file| &mut file.origins).for_each(&mut publish);
    if !keep_query && remarks.iter().any(|said| KEPT.iter().any(|part| said.contains(part))) {
        remarks.push(KEEP.to_owned());
    }
    Ok(remarks)
}
