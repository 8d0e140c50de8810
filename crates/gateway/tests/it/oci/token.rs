//! The exchange of a password for a bearer token, as docker and podman perform it.

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perennial_gateway::Options;

use super::{Answer, Image, OCI_MANIFEST, TOKEN, TestRegistry, bytes, key};

const PULL: &str = "/token?service=perennial&scope=repository:team/app:pull";
const PUSH: &str = "/token?service=perennial&scope=repository:team/app:pull,push";
const LOGIN: &str = "/token?account=me&client_id=docker&offline_token=true&service=perennial";

async fn ask(registry: &TestRegistry, path: &str, password: Option<&str>) -> Answer {
    let basic =
        password.map(|password| format!("Basic {}", STANDARD.encode(format!("me:{password}"))));
    let headers: Vec<_> = basic.iter().map(|basic| ("authorization", basic.as_str())).collect();
    registry.ask(Method::GET, path, &headers).await
}

fn token(answer: &Answer) -> String {
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control")),
        (200, "no-store"),
        "{answer:?}"
    );
    let (token, access) = (&answer.json()["token"], &answer.json()["access_token"]);
    assert_eq!(token, access);
    token.as_str().unwrap().to_owned()
}

/// Returns whether a bearer token allows an upload.
async fn may_push(registry: &TestRegistry, bearer: &str) -> bool {
    let bearer = format!("Bearer {bearer}");
    let headers = [("authorization", bearer.as_str())];
    registry.ask(Method::POST, "/v2/team/app/blobs/uploads/", &headers).await.status == 202
}

#[tokio::test]
async fn the_password_is_exchanged_for_a_token_that_pushes() {
    let registry = TestRegistry::new();
    for path in [PULL, PUSH, LOGIN] {
        assert!(
            may_push(&registry, &token(&ask(&registry, path, Some(TOKEN)).await)).await,
            "{path}"
        );
        assert!(
            !may_push(&registry, &token(&ask(&registry, path, None).await)).await,
            "{path}: no password was given"
        );
    }
}

#[tokio::test]
async fn the_version_check_is_answered_with_the_login_challenge() {
    let registry = TestRegistry::new();
    let challenge = "Bearer realm=\"http://node.example:4480/token\",service=\"perennial\"";
    for wrong in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic Og==")]]
    {
        let ping = registry.ask(Method::GET, "/v2/", wrong).await;
        ping.refused(401, "UNAUTHORIZED");
        assert_eq!(ping.header("www-authenticate"), challenge);
        assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    }
    for password in [None, Some(TOKEN)] {
        let bearer = format!("Bearer {}", token(&ask(&registry, LOGIN, password).await));
        let ping = registry.ask(Method::GET, "/v2/", &[("authorization", &bearer)]).await;
        assert_eq!((ping.status.as_u16(), ping.header("www-authenticate")), (200, ""));
    }
    let front = "https://node.example".parse().unwrap();
    let proxied = TestRegistry::with(Options {
        token: Some(TOKEN.into()),
        hosts: vec![front],
        ..Options::default()
    });
    let ping = proxied.get("/v2/").await;
    assert!(
        ping.header("www-authenticate").contains("\"https://node.example:4480/token\""),
        "{ping:?}"
    );
}

#[tokio::test]
async fn a_wrong_password_allows_pulls_only() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(10, 1));
    registry.follow(&key(2));
    image.release(&registry.store, &key(2), "quay.io/team/app", "v1");
    let anonymous = token(&ask(&registry, PULL, Some("wrong")).await);
    assert!(!may_push(&registry, &anonymous).await);
    for credentials in
        [format!("Bearer {anonymous}"), "Bearer wrong".into(), "Basic d3Jvbmc6d3Jvbmc=".into()]
    {
        let path = "/v2/quay.io/team/app/manifests/v1";
        let got = registry.ask(Method::GET, path, &[("authorization", &credentials)]).await;
        assert_eq!(
            (got.status.as_u16(), got.header("content-type")),
            (200, OCI_MANIFEST),
            "{credentials}"
        );
    }
    let several =
        "/token?scope=repository:a:pull&scope=repository:team/app:pull%20repository:b:push";
    let nothing = "/token?scope=";
    for path in [PUSH, LOGIN, several, nothing, "/token"] {
        let refused = ask(&registry, path, Some("wrong")).await;
        assert!(refused.refused(401, "UNAUTHORIZED").contains("token as the password"), "{path}");
    }
    let two = "/token?scope=repository:a:pull&scope=repository:team/app:pull";
    assert!(!may_push(&registry, &token(&ask(&registry, two, Some("wrong")).await)).await);
}

#[tokio::test]
async fn a_node_without_a_token_asks_for_none_and_refuses_pushes() {
    let registry = TestRegistry::with(Options::default());
    let ping = registry.get("/v2/").await;
    assert_eq!((ping.status.as_u16(), ping.header("www-authenticate")), (200, ""));
    let refused = ask(&registry, LOGIN, Some(TOKEN)).await;
    assert!(refused.refused(405, "UNSUPPORTED").contains("--token-file"));
    for path in [PULL, PUSH] {
        assert!(!may_push(&registry, &token(&ask(&registry, path, None).await)).await);
    }
}
