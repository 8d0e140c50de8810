//! Carries out the protocol's decisions: one effect after the other, in order.
//!
//! An effect that takes time becomes a task, whose outcome comes back as an input. Commands to the
//! swarm wait while its queue is full.

use perennial_protocol::{Answer, Effect, FetchId, Input, Refusal, Response, Sealed};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::download::Download;
use super::fetch_handle::FetchNews;
use super::message::{LookupAnswer, Message};
use super::writer::Batch;
use super::{EventLoop, Running};

impl EventLoop {
    /// A swarm that has ended takes no commands; the loop ends at its next event.
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
            Effect::Answer { token, question } => {
                let (swarm, network) = (self.swarm.clone(), self.network.clone());
                let catalog = self.catalog.clone();
                self.tasks.spawn(async move {
                    let answered = spawn_blocking(move || question.answer(&catalog)).await;
                    // The panic hook logs a panic in the store.
                    let (response, sealed) = match answered {
                        Ok(Answer { response, sealed }) => (response, sealed),
                        Err(_) => (Response::Refused { reason: Refusal::Busy }, None),
                    };
                    let _ = swarm.respond(token, response).await;
                    network.input(Input::Answered { token, sealed }).await;
                });
            }
            Effect::Seal { scope } => {
                let (network, catalog, of) =
                    (self.network.clone(), self.catalog.clone(), scope.clone());
                self.tasks.spawn(async move {
                    let sealed = spawn_blocking(move || Sealed::new(of, &catalog)).await.ok();
                    network.input(Input::Sealed { scope, sealed }).await;
                });
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
                if let Some(refused) = self.writer.store(Batch { id: batch, entries }) {
                    // Sent as a separate message, because effects are not carried out recursively.
                    let network = self.network.clone();
                    self.tasks.spawn(async move { network.send(Message::Input(refused)).await });
                }
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
            Effect::StartDownload { assignment, peer, items } => {
                let cancel = CancellationToken::new();
                let running = Running { peer: peer.clone(), cancel: cancel.clone() };
                self.downloads.insert(assignment, running);
                let download = Download {
                    store: self.store.clone(),
                    network: self.network.clone(),
                    swarm: self.swarm.clone(),
                    stall: self.stall,
                    tasks: self.tasks.clone(),
                    assignment,
                    peer,
                    items,
                    cancel,
                };
                self.tasks.spawn(download.run());
            }
            Effect::StopDownload { assignment } => {
                // Its last report still counts, so it stays listed until it has ended.
                if let Some(running) = self.downloads.get(&assignment) {
                    running.cancel.cancel();
                }
            }
            Effect::BlobDone { fetch, blob } => {
                if let Some(report) = self.fetches.get(&fetch) {
                    // A slow task may miss news of single blobs; only the end of the fetch matters.
                    let _ = report.news.try_send(FetchNews::BlobDone(blob));
                }
            }
            Effect::FetchProgress { fetch, progress } => {
                if let Some(report) = self.fetches.get(&fetch) {
                    report.progress.send_replace(Some(progress));
                }
            }
            Effect::FetchDone { fetch, from } => self.end(fetch, FetchNews::Done(from)),
            Effect::FetchFailed { fetch, failure } => self.end(fetch, FetchNews::Failed(failure)),
            Effect::Keep { release, .. } => (self.keep)(release),
            Effect::FindProviders { release } => {
                let _ = self.swarm.find_providers(release).await;
            }
            Effect::Provide { release } => {
                let _ = self.swarm.provide(release).await;
            }
            Effect::StopProviding { release } => {
                let _ = self.swarm.stop_providing(release).await;
            }
            Effect::Dial { peer } => {
                let _ = self.swarm.dial_peer(peer).await;
            }
            Effect::Earned { peer, standing } => {
                let _ = self.swarm.earned(peer, standing).await;
            }
            Effect::Penalise { peer, offence } => {
                tracing::warn!(%peer, %offence, "peer misbehaved");
                self.overview.send_modify(|overview| overview.offence_of(&peer));
            }
            Effect::Ban { peer, until } => {
                tracing::warn!(%peer, "peer banned");
                if let Some(first) = self.banned.add(peer.clone(), until) {
                    let _ = self.swarm.ban(first, false).await;
                }
                let _ = self.swarm.ban(peer, true).await;
            }
            Effect::Synced { peer, new, sent, received, complete } => {
                tracing::info!(%peer, new_entries = new, sent_bytes = sent,
                    received_bytes = received, complete, "reconciled");
                self.overview.send_modify(|overview| {
                    overview.sync_sent += sent;
                    overview.sync_received += received;
                    overview.synced += u64::from(complete);
                });
            }
            Effect::WakeAt(time) => self.wake = Some(self.at(time)),
        }
    }

    fn end(&mut self, fetch: FetchId, news: FetchNews) {
        if let Some(report) = self.fetches.remove(&fetch) {
            // Sent from a task of its own: the queue may be full of news about single blobs, and
            // the loop does not wait for its reader.
            self.tasks.spawn(async move { report.news.send(news).await });
        }
    }
}
