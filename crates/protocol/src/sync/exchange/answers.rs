//! What an exchange makes of responses, and of the store's verdicts.

use perennial_manifest::{EntryId, MAX_ENCODED, SignedEntry};

use super::{Exchange, Misfit, Waiting};
use crate::catalog::Catalog;
use crate::input::{Follows, Verdict};
use crate::message::{MAX_ENTRIES_BYTES, Response, Scope};
use crate::sync::{LACKING, LACKING_OF_STRANGERS, ORPHANS, set};
use crate::time::Time;

impl Exchange {
    /// Handles a response.
    pub(in crate::sync) fn response(
        &mut self,
        response: Response,
        follows: &Follows,
        catalog: &dyn Catalog,
    ) -> Result<(), Misfit> {
        match (std::mem::replace(&mut self.waiting, Waiting::Nothing), response) {
            (Waiting::Round, Response::Reconcile { message }) => self.round(&message, catalog),
            (Waiting::Entries(asked), Response::Entries { entries }) => {
                let bytes: usize = entries.iter().map(|entry| entry.0.len()).sum();
                self.received += u64::try_from(bytes).unwrap_or(u64::MAX);
                let mut left = asked;
                for bytes in &entries {
                    let entry = SignedEntry::decode(&bytes.0).map_err(|_| Misfit)?;
                    if !left.remove(&entry.id()) || !self.is_in_scope(&entry, follows) {
                        return Err(Misfit);
                    }
                    self.ready.push(entry);
                }
                // Entries missing from a full response are requested again. Those missing despite
                // room are not held by the peer.
                let full = bytes + MAX_ENCODED > MAX_ENTRIES_BYTES;
                if full {
                    left.into_iter().for_each(|id| self.lacking.push_front(id));
                } else if !left.is_empty() {
                    self.cut_short = true;
                }
                Ok(())
            }
            _ => Err(Misfit),
        }
    }

    fn is_in_scope(&self, entry: &SignedEntry, follows: &Follows) -> bool {
        let publisher = &entry.entry().publisher;
        follows.covers(publisher)
            || match &self.current {
                Some((Scope::Publishers(some), _)) => some.contains(publisher),
                Some((Scope::All, _)) => true,
                None => false,
            }
    }

    fn round(&mut self, message: &[u8], catalog: &dyn Catalog) -> Result<(), Misfit> {
        self.received += u64::try_from(message.len()).unwrap_or(u64::MAX);
        let Some((_, set)) = &self.current else { return Err(Misfit) };
        let (next, lacking) = set::proceed(set, message).map_err(|_| Misfit)?;
        self.message = next;
        // Only the oldest of them will be requested.
        let most = if self.left == u64::MAX { LACKING } else { LACKING_OF_STRANGERS };
        for (end, id) in lacking {
            if self.found.len() >= most {
                self.cut_short = true;
                self.message = None;
                break;
            }
            if !catalog.has_entry(&id) {
                self.found.push((end, id));
            }
        }
        Ok(())
    }

    /// Handles the verdicts on a batch.
    pub(in crate::sync) fn stored(&mut self, now: Time, verdicts: &[(EntryId, Verdict)]) {
        if !matches!(self.waiting, Waiting::Store) {
            return;
        }
        self.waiting = Waiting::Nothing;
        let mut storing = std::mem::take(&mut self.storing);
        let (mut full, before) = (false, self.new);
        for (id, verdict) in verdicts {
            let entry = storing.remove(id);
            match verdict {
                Verdict::New | Verdict::Fork => self.new += 1,
                Verdict::Known | Verdict::Rejected => {}
                Verdict::Full => full = true,
                Verdict::Orphan { missing } => {
                    let Some(entry) = entry else { continue };
                    if self.orphans.len() >= ORPHANS {
                        self.cut_short = true;
                        continue;
                    }
                    self.orphans.insert(*id, entry);
                    for parent in missing {
                        if !self.parents_asked.contains(parent)
                            && !self.orphans.contains_key(parent)
                        {
                            self.parents.insert(*parent);
                        }
                    }
                }
            }
        }
        if self.new > before {
            self.moved = (now, self.received);
        }
        if !storing.is_empty() {
            // The store failed partway.
            self.cut_short = true;
        }
        if full {
            self.leave_scope();
            self.cut_short = true;
        }
    }
}
