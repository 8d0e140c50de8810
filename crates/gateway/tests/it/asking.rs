//! Questions to peers about what this node does not know: what they bring, and what they cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::future::{BoxFuture, FutureExt, join_all};
use perennial_gateway::{Backend, BlobRequest, FetchError, Options, SignError, Told, router};
use perennial_manifest::{Draft, PublisherId, ReleaseId, Selector};
use perennial_store::{OpenOptions, Store};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::fixtures::key;

/// A node that holds nothing, and counts what it is to ask of its peers.
struct Counting {
    store: Store,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
    /// A permit is an answer.
    answers: Semaphore,
}

struct Handle(Arc<Counting>);

impl Backend for Handle {
    fn store(&self) -> &Store {
        &self.0.store
    }

    fn publisher(&self) -> PublisherId {
        key(1).id()
    }

    fn fetch(&self, _: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>> {
        std::future::ready(Err(FetchError::NoHolder)).boxed()
    }

    fn fetch_list(&self, _: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        std::future::ready(Err(FetchError::NoHolder)).boxed()
    }

    fn ask(&self, _: Selector, _: Option<PublisherId>) -> BoxFuture<'static, Told> {
        let node = Arc::clone(&self.0);
        async move {
            node.asked.fetch_add(1, Ordering::SeqCst);
            let now = node.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            node.most.fetch_max(now, Ordering::SeqCst);
            let _left = scopeguard(&node.under_way);
            let _ = node.answers.acquire().await;
            Told::default()
        }
        .boxed()
    }

    fn sign(&self, _: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>> {
        std::future::ready(Err(SignError::new("nothing is signed here"))).boxed()
    }

    fn yank(
        &self,
        _: ReleaseId,
        _: String,
        _: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>> {
        std::future::ready(Err(SignError::new("nothing is signed here"))).boxed()
    }
}

/// Counts down when it is dropped, as a question does that ends or is given up.
fn scopeguard(count: &AtomicUsize) -> impl Drop {
    struct Down<'a>(&'a AtomicUsize);
    impl Drop for Down<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    Down(count)
}

fn node(answers: usize) -> (tempfile::TempDir, Arc<Counting>, Router) {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Arc::new(Counting {
        store: Store::open(dir.path(), OpenOptions::default()).expect("a store"),
        asked: AtomicUsize::new(0),
        under_way: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        answers: Semaphore::new(answers),
    });
    let router = router(Arc::new(Handle(Arc::clone(&node))), Options::default());
    (dir, node, router)
}

async fn status(router: &Router, path: String) -> u16 {
    let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn each_miss_is_one_question_however_often_it_is_asked() {
    let (_dir, node, router) = node(1);
    let digest = "ab".repeat(32);
    let paths = [
        "/r/tool/v1/tool".to_owned(),
        format!("/r/{digest}/tool"),
        format!("/b/blake3:{digest}"),
        format!("/b/sha256:{digest}"),
        "/v2/quay.io/team/app/manifests/v1".to_owned(),
    ];
    for (at, path) in paths.iter().enumerate() {
        let all = join_all((0..50).map(|_| status(&router, path.clone()))).await;
        assert!(all.iter().all(|status| *status == 404), "{path}: {all:?}");
        assert_eq!(status(&router, path.clone()).await, 404, "{path}");
        assert_eq!(node.asked.load(Ordering::SeqCst), at + 1, "{path}");
    }
    // Another spelling of the same digest is the same question.
    let again = format!("/v2/quay.io/team/app/manifests/sha256:{digest}");
    assert_eq!(status(&router, again).await, 404);
    assert_eq!(node.asked.load(Ordering::SeqCst), paths.len());
    // What another publisher says is another question; malformed names are none.
    let of_one = format!("/r/tool/v1/tool?publisher={}", key(9).id());
    assert_eq!(status(&router, of_one).await, 404);
    assert_eq!(node.asked.load(Ordering::SeqCst), paths.len() + 1);
    for path in ["/r/tool/", "/b/sha256:ab", "/v2/quay.io/team/app/manifests/.x"] {
        assert!(status(&router, path.to_owned()).await >= 400);
    }
    assert_eq!(node.asked.load(Ordering::SeqCst), paths.len() + 1);
}

#[tokio::test]
async fn peers_that_do_not_answer_delay_a_client_and_few_are_asked_at_once() {
    let (_dir, node, router) = node(0);
    let began = std::time::Instant::now();
    let paths = (0..100).map(|n| status(&router, format!("/r/tool-{n}/v1/tool")));
    assert!(join_all(paths).await.iter().all(|status| *status == 404));
    assert!(began.elapsed().as_secs() < 20, "clients wait for {:?}", began.elapsed());
    let most = node.most.load(Ordering::SeqCst);
    assert!((1..=8).contains(&most), "{most} at once");
}
