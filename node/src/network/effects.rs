//! Carrying out what the protocol decided, one effect after the other, in the order given.

use perennial_manifest::SignedEntry;
use perennial_protocol::effect::Effect;
use perennial_protocol::input::Verdict;
use perennial_store::{Put, Store};

use super::{EventLoop, FetchNews, LookupAnswer, Message};
use perennial_manifest::Admit;

impl EventLoop {
    /// A swarm that has ended takes nothing: the loop ends with it, at its next event.
    pub(super) async fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Publish { bytes } => {
                let _ = self.swarm.publish(bytes).await;
            }
            Effect::ReportGossip { message, from, acceptance } => {
                let _ = self.swarm.report_gossip(message, from, acceptance).await;
            }
            Effect::Send { peer, id, request } => {
                let _ = self.swarm.request(peer, id, request).await;
            }
            Effect::Respond { token, response } => {
                let _ = self.swarm.respond(token, response).await;
            }
            Effect::Serve { token, start } => {
                if let Some(decision) = self.serving.remove(&token) {
                    let _ = decision.send(Some((token, start)));
                }
            }
            Effect::RefuseServe { token } => {
                if let Some(decision) = self.serving.remove(&token) {
                    let _ = decision.send(None);
                }
            }
            Effect::Store { batch, entries, .. } => {
                let (store, core) = (self.store.clone(), self.core.clone());
                tokio::task::spawn_blocking(move || {
                    let verdicts = put(&store, &entries);
                    core.send_blocking(Message::Stored { batch, verdicts });
                });
            }
            Effect::LookupDone { lookup, answered, entries, claims } => {
                if let Some(answer) = self.lookups.remove(&lookup) {
                    let _ = answer.send(LookupAnswer { answered, entries, claims });
                }
            }
            Effect::CensusDone { census, holders } => {
                if let Some(answer) = self.censuses.remove(&census) {
                    let _ = answer.send(holders);
                }
            }
            Effect::Fetch { assignment, peer, items } => {
                let cancel = tokio_util::sync::CancellationToken::new();
                self.assignments.insert(assignment, cancel.clone());
                let sized = items
                    .into_iter()
                    .filter_map(|item| Some((self.sizes.get(&item.blob)?.0, item)))
                    .collect();
                let job = crate::network::download::Job {
                    assignment,
                    peer,
                    items: sized,
                    cancel,
                    limits: self.limits,
                };
                tokio::spawn(crate::network::download::receive(
                    self.store.clone(),
                    self.core.clone(),
                    self.swarm.clone(),
                    job,
                ));
            }
            Effect::CancelFetch { assignment } => {
                if let Some(cancel) = self.assignments.remove(&assignment) {
                    cancel.cancel();
                }
            }
            Effect::BlobDone { fetch, blob } => self.tell(fetch, FetchNews::BlobDone(blob)),
            Effect::FetchProgress { fetch, progress } => {
                if let Some(waiting) = self.fetches.get(&fetch) {
                    waiting.progress.send_replace(Some(progress));
                }
            }
            Effect::FetchDone { fetch, from } => {
                for (peer, bytes) in &from {
                    self.count(peer, |info| info.received += bytes);
                }
                self.end(fetch, FetchNews::Done(from));
            }
            Effect::FetchFailed { fetch, failure } => self.end(fetch, FetchNews::Failed(failure)),
            Effect::Keep { release, .. } => {
                tokio::spawn(crate::archive::fetch::keep(
                    self.store.clone(),
                    self.core.clone(),
                    release,
                ));
            }
            Effect::FindProviders { release } => {
                let _ = self.swarm.find_providers(*release.as_bytes()).await;
            }
            Effect::Provide { release } => {
                let _ = self.swarm.provide(*release.as_bytes()).await;
            }
            Effect::StopProviding { release } => {
                let _ = self.swarm.stop_providing(*release.as_bytes()).await;
            }
            Effect::Dial { peer } => {
                let _ = self.swarm.dial_peer(peer).await;
            }
            Effect::Penalise { peer, offence } => {
                tracing::warn!(%peer, ?offence, "a peer misbehaved");
                self.count(&peer, |info| info.faults += 1);
            }
            Effect::Ban { peer, until } => {
                tracing::warn!(%peer, "a peer is banned for a while");
                if let Some(first) = self.banned.add(peer.clone(), until) {
                    let _ = self.swarm.ban(first, false).await;
                }
                let _ = self.swarm.ban(peer, true).await;
            }
            Effect::Synced { peer, new, sent, received, complete } => {
                tracing::info!(%peer, new, sent, received, complete, "reconciled");
                self.overview.send_modify(|overview| {
                    overview.sync_sent += sent;
                    overview.sync_received += received;
                    overview.synced += u64::from(complete);
                });
            }
            Effect::WakeAt(time) => self.wake = Some(self.at(time)),
        }
    }

    /// News of single blobs may be missed by a slow waiter: the end of the fetch is what counts.
    fn tell(&self, fetch: perennial_protocol::input::FetchId, news: FetchNews) {
        if let Some(waiting) = self.fetches.get(&fetch) {
            let _ = waiting.news.try_send(news);
        }
    }

    fn end(&mut self, fetch: perennial_protocol::input::FetchId, news: FetchNews) {
        if let Some(waiting) = self.forget(fetch) {
            // never waits: the end goes out from a task of its own where the queue is full of single blobs
            tokio::spawn(async move { waiting.news.send(news).await });
        }
    }
}

fn put(store: &Store, entries: &[SignedEntry]) -> Vec<(perennial_manifest::EntryId, Verdict)> {
    match store.put_entries(entries) {
        Ok(puts) => puts.into_iter().map(verdict).collect(),
        Err(error) => {
            tracing::error!(%error, "entries could not be stored");
            Vec::new()
        }
    }
}

fn verdict(put: Put) -> (perennial_manifest::EntryId, Verdict) {
    let verdict = match put.admit {
        Admit::New => Verdict::New,
        Admit::Known => Verdict::Known,
        Admit::Fork(proof) => {
            tracing::warn!(?proof, "a publisher signed two histories");
            Verdict::Fork
        }
        Admit::Orphan(missing) => Verdict::Orphan { missing },
        Admit::Reject(error) => {
            tracing::info!(%error, id = %put.id, "an entry does not fit its feed");
            Verdict::Rejected
        }
    };
    (put.id, verdict)
}
