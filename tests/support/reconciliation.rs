//! A message of a reconciliation, as any peer may write it.

use perennial_manifest::EntryId;

/// A message of negentropy that lists these entries in one range, as all that there are. There may
/// be up to 2,097,151 of them.
#[must_use]
pub fn all_ids(ids: &[EntryId]) -> Vec<u8> {
    let mut message = vec![0x61, 0, 0, 2];
    for (shift, more) in [(14, 0x80), (7, 0x80), (0, 0)] {
        message.push(u8::try_from((ids.len() >> shift) & 0x7f).unwrap_or_default() | more);
    }
    message.extend(ids.iter().flat_map(|id| *id.as_bytes()));
    message
}
