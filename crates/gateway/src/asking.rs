//! Questions to peers about what a client asked for and this node does not know.
//!
//! Any client can ask, so what it costs the network is bounded: one question per name runs at a
//! time, and continues if its client leaves; it is asked again only after a pause, whatever came
//! back; and few run at once. Whoever asks waits for a bounded time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use perennial_manifest::{PublisherId, Selector};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::backend::{Backend, Told};

/// How long a client waits for the answer of peers, its turn included. Registries are asked by
/// engines that go on to the next mirror, so it is short.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long an answer stands, from the question on.
const STANDS: Duration = Duration::from_secs(10);
/// Questions under way at once.
const AT_ONCE: usize = 8;
/// Questions under way, waiting or answered lately. Beyond it, nothing is asked.
const KEPT: usize = 1024;

type Question = (String, Option<PublisherId>);
type Answer = Shared<BoxFuture<'static, Told>>;

/// The questions of all clients.
#[derive(Debug)]
pub(crate) struct Asking {
    lately: Mutex<HashMap<Question, (Instant, Answer)>>,
    turns: Arc<Semaphore>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { lately: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Asking {
    /// What peers tell about a selector; nothing if they do not answer in time.
    pub(crate) async fn ask(
        &self,
        backend: &Arc<dyn Backend>,
        selector: Selector,
        publisher: Option<PublisherId>,
    ) -> Told {
        let Some(answer) = self.answer(backend, selector, publisher) else {
            return Told::default();
        };
        timeout(PATIENCE, answer).await.unwrap_or_default()
    }

    /// The answer to a question, which is asked now unless it was lately.
    fn answer(
        &self,
        backend: &Arc<dyn Backend>,
        selector: Selector,
        publisher: Option<PublisherId>,
    ) -> Option<Answer> {
        let now = Instant::now();
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, (asked, answer)| {
            answer.peek().is_none() || now.duration_since(*asked) < STANDS
        });
        let question = (selector.to_string(), publisher);
        if let Some((_, answer)) = lately.get(&question) {
            return Some(answer.clone());
        }
        if lately.len() >= KEPT {
            return None;
        }
        let (turns, backend) = (Arc::clone(&self.turns), Arc::clone(backend));
        // A task of its own: nobody may be left to poll it.
        let asked = tokio::spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire_owned().await;
            timeout(PATIENCE, backend.ask(selector, publisher)).await.unwrap_or_default()
        });
        let answer = asked.map(Result::unwrap_or_default).boxed().shared();
        lately.insert(question, (now, answer.clone()));
        Some(answer)
    }
}
