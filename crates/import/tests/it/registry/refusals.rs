//! A registry that fails, lies or spies.

use std::sync::atomic::{AtomicBool, Ordering};

use perennial_import::{ImportError, Options, Progress, Watch, images};
use serde_json::json;

use crate::made::{digest_of, noise, sha256};
use crate::registry::{Images, Imported, Node, blob, named, only};
use crate::upstream::{Upstream, World};

/// A registry with the image `app:1`, of one layer.
async fn upstream() -> (Upstream, String) {
    let mut world = World { page: 100, ..World::default() };
    let layer = noise(1, 300_000);
    let image = world.made.image("{}", std::slice::from_ref(&layer));
    world.tags.insert("team/app:1".into(), digest_of(&image));
    (Upstream::start(world).await, sha256(&layer))
}

fn app(upstream: &Upstream) -> String {
    format!("docker://{}/team/app:1", upstream.host)
}

#[tokio::test]
async fn an_interrupted_blob_resumes() {
    let (upstream, layer) = upstream().await;
    upstream.world().cut.insert(layer.clone(), 100_000);
    let node = Node::new();
    let imported = node.one(&app(&upstream)).await;
    assert_eq!(node.bytes(blob(only(&imported), &layer)), noise(1, 300_000));
    let of_it = |path: &String| path.ends_with(&layer);
    let ranges: Vec<_> =
        upstream.asked().into_iter().filter(|a| of_it(&a.path)).map(|a| a.range).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned())]);
}

#[tokio::test]
async fn without_ranges_a_blob_starts_over() {
    let (upstream, layer) = upstream().await;
    upstream.world().cut.insert(layer.clone(), 100_000);
    upstream.world().no_ranges = true;
    let node = Node::new();
    let imported = node.one(&app(&upstream)).await;
    assert_eq!(node.bytes(blob(only(&imported), &layer)), noise(1, 300_000));
}

#[tokio::test]
async fn a_later_run_keeps_good_bytes_and_discards_bad_ones() {
    for good in [true, false] {
        let (upstream, layer) = upstream().await;
        let node = Node::new();
        let mut left = noise(1, 300_000);
        left.truncate(200_000);
        if !good {
            left[5] ^= 1;
        }
        let file = node.store.incoming().join(format!("oci-{}", layer.replace(':', "-")));
        std::fs::write(file, left).unwrap();
        let imported = node.one(&app(&upstream)).await;
        assert_eq!(node.bytes(blob(only(&imported), &layer)), noise(1, 300_000));
        let asked = upstream.asked();
        let ranges: Vec<_> =
            asked.into_iter().filter(|a| a.path.ends_with(&layer)).map(|a| a.range).collect();
        let on = Some("bytes=200000-".to_owned());
        assert_eq!(ranges, if good { vec![on] } else { vec![on, None] });
        assert!(node.arriving().is_empty());
    }
}

#[tokio::test]
async fn wrong_bytes_leave_no_draft_and_no_blob() {
    let (upstream, layer) = upstream().await;
    let manifest = upstream.world().tags["team/app:1"].clone();
    for wrong in [layer, manifest] {
        upstream.world().wrong = [wrong.clone()].into();
        let node = Node::new();
        let imported = node.one(&app(&upstream)).await;
        assert!(imported.drafts.is_empty());
        assert!(imported.failed[0].reason.contains("has the digest"), "{:?}", imported.failed);
        assert_eq!(node.store.blob_of_sha256(&wrong.parse().unwrap()).unwrap(), None);
        let kept = node
            .arriving()
            .iter()
            .any(|path| path.ends_with(format!("oci-{}", wrong.replace(':', "-"))));
        assert!(!kept, "wrong bytes are not kept to go on with");
    }
}

#[tokio::test]
async fn a_blob_longer_than_its_descriptor_is_not_written() {
    let (upstream, layer) = upstream().await;
    upstream.world().made.0.get_mut(&layer).unwrap().1.extend_from_slice(&noise(2, 10_000_000));
    let node = Node::new();
    let imported = node.one(&app(&upstream)).await;
    assert!(
        imported.failed[0].reason.contains("more than the 300000 bytes"),
        "{:?}",
        imported.failed
    );
}

#[tokio::test]
async fn a_failed_image_costs_no_other() {
    let (upstream, _) = upstream().await;
    let node = Node::new();
    let gone = format!("docker://{}/team/gone:1", upstream.host);
    let imported =
        node.add(&named(&[&gone, "docker://UPPER/case", &app(&upstream)])).await.unwrap();
    assert_eq!(imported.drafts.len(), 1);
    let failed: Vec<_> = imported.failed.iter().map(|failed| failed.what.as_str()).collect();
    assert_eq!(failed, [gone.as_str(), "docker://UPPER/case"]);
    assert!(imported.failed[0].reason.contains("no such tag"), "{:?}", imported.failed);
}

#[tokio::test]
async fn a_busy_registry_is_retried_but_not_for_ever() {
    let (upstream, _) = upstream().await;
    upstream.world().busy = 3;
    let node = Node::new();
    only(&node.one(&app(&upstream)).await);
    upstream.world().busy = 1_000;
    let imported = node.one(&app(&upstream)).await;
    assert!(imported.failed[0].reason.contains("429"), "{:?}", imported.failed);
    assert!(upstream.world().busy > 900);
}

/// Cancels once the first bytes have arrived.
#[derive(Default)]
struct Leaving(AtomicBool);

impl Watch for Leaving {
    fn progress(&self, progress: &Progress) {
        self.0.fetch_or(progress.bytes > 0, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_cancelled_import_is_not_a_failed_image_and_resumes() {
    let (upstream, layer) = upstream().await;
    // At one byte per request, the layer would take hours.
    upstream.world().always_cut.insert(layer.clone());
    let node = Node::new();
    let options = Options { allow_private: true, plain_http: true, ..Options::default() };
    let what = named(&[&app(&upstream)]);
    let error = images(&node.store, &options, &what, &Leaving::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::Cancelled), "{error:?}");
    upstream.world().always_cut.clear();
    upstream.asked();
    only(&node.one(&app(&upstream)).await);
    let asked = upstream.asked().into_iter().find(|asked| asked.path.ends_with(&layer)).unwrap();
    assert!(asked.range.is_some(), "{asked:?}");
}

#[tokio::test]
async fn an_unavailable_signature_costs_only_itself() {
    let (upstream, _) = upstream().await;
    {
        let mut world = upstream.world();
        let root = world.tags["team/app:1"].clone();
        let lost =
            json!({ "mediaType": crate::made::MANIFEST, "digest": sha256(b"lost"), "size": 4 });
        world.referrers = Some([(root, vec![lost])].into());
    }
    let imported = Node::new().one(&app(&upstream)).await;
    assert_eq!((imported.drafts.len(), imported.failed.len()), (1, 1));
    assert!(imported.failed[0].what.contains(&sha256(b"lost")), "{:?}", imported.failed);
}

#[tokio::test]
async fn schema_1_is_refused_with_a_reason() {
    let (upstream, _) = upstream().await;
    {
        let mut world = upstream.world();
        let old = world.made.put(
            "application/vnd.docker.distribution.manifest.v1+json",
            br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec(),
        );
        world.tags.insert("team/app:1".into(), digest_of(&old));
    }
    let imported = Node::new().one(&app(&upstream)).await;
    assert!(imported.failed[0].reason.contains("schema 1"), "{:?}", imported.failed);
}

/// A request with the credentials `user` and `secret` for a registry.
fn with_password(node: &Node, upstream: &Upstream) -> Images {
    let file = node.dir.path().join("auth.json");
    let auths = json!({ "auths": { upstream.host.clone(): { "auth": "dXNlcjpzZWNyZXQ=" } } });
    std::fs::write(&file, auths.to_string()).unwrap();
    Images { auth_file: Some(file), ..named(&[&app(upstream)]) }
}

#[tokio::test]
async fn a_registry_inside_the_network_is_called_only_where_that_is_allowed() {
    let (upstream, _) = upstream().await;
    let node = Node::new();
    let imported = node.add_as(&named(&[&app(&upstream)]), false).await.unwrap();
    assert!(imported.drafts.is_empty());
    assert!(imported.failed[0].reason.contains("--allow-private"), "{:?}", imported.failed);
    assert!(upstream.asked().is_empty());
    only(&node.one(&app(&upstream)).await);
}

#[tokio::test]
async fn passwords_and_tokens_go_only_to_their_registry() {
    for by_token in [true, false] {
        let (upstream, _) = upstream().await;
        let elsewhere = {
            let mut world = upstream.world();
            World { made: world_made(&mut world), ..World::default() }
        };
        let elsewhere = Upstream::start(elsewhere).await;
        {
            let mut world = upstream.world();
            world.redirect = Some(format!("http://{}", elsewhere.host));
            let user = Some(("user".to_owned(), "secret".to_owned()));
            if by_token { world.token = user } else { world.password = user }
        }
        let node = Node::new();
        only(&node.add(&with_password(&node, &upstream)).await.unwrap());
        let asked = elsewhere.asked();
        assert_eq!(asked.len(), 2, "config and layer come from there");
        assert!(asked.iter().all(|asked| asked.authorization.is_none()), "{asked:?}");
        for asked in upstream.asked() {
            let password =
                asked.authorization.as_deref().is_some_and(|shown| shown.starts_with("Basic"));
            assert!(!by_token || password == asked.path.starts_with("/token"), "{asked:?}");
        }
        // A host that the registry redirects to and that demands credentials gets none.
        let user = Some(("user".to_owned(), "secret".to_owned()));
        elsewhere.world().token = user;
        let node = Node::new();
        let imported = node.add(&with_password(&node, &upstream)).await.unwrap();
        assert!(imported.drafts.is_empty());
        assert!(
            elsewhere
                .asked()
                .iter()
                .all(|asked| asked.authorization.is_none() && asked.path != "/token")
        );
    }
}

fn world_made(world: &mut World) -> crate::made::Made {
    world.made.clone()
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_and_not_sent_on_by_a_redirect() {
    let (upstream, _) = upstream().await;
    upstream.world().identity = Some("refreshing".into());
    let node = Node::new();
    let file = node.dir.path().join("auth.json");
    let auths = json!({ "auths": { upstream.host.clone(): { "identitytoken": "refreshing" } } });
    std::fs::write(&file, auths.to_string()).unwrap();
    let what = Images { auth_file: Some(file), ..named(&[&app(&upstream)]) };
    only(&node.add(&what).await.unwrap());
    assert_eq!(upstream.asked().iter().filter(|asked| asked.path == "/token").count(), 1);
    let elsewhere =
        Upstream::start(World { identity: Some("refreshing".into()), ..World::default() }).await;
    upstream.world().token_moved = Some(format!("http://{}", elsewhere.host));
    let imported = node.add(&what).await.unwrap();
    assert!(imported.drafts.is_empty());
    assert!(
        elsewhere.asked().iter().all(|asked| asked.body.is_empty()),
        "what lets us in went elsewhere"
    );
}

#[tokio::test]
async fn without_credentials_the_error_says_what_to_do() {
    let (upstream, _) = upstream().await;
    upstream.world().password = Some(("user".to_owned(), "secret".to_owned()));
    let node = Node::new();
    let file = node.dir.path().join("none.json");
    std::fs::write(&file, "{}").unwrap();
    let imported =
        node.add(&Images { auth_file: Some(file), ..named(&[&app(&upstream)]) }).await.unwrap();
    assert!(imported.failed[0].reason.contains("podman login"), "{:?}", imported.failed);
}

/// Imports from a registry that asks for authorization with `challenge`, as a user whose file of
/// credentials has `entry`. Its token server answers with `answer` and exchanges no tokens. It
/// refuses with a status, and, if so told, asks at its root only.
async fn lets_in(
    entry: serde_json::Value,
    challenge: &'static str,
    answer: &'static str,
    refusal: (u16, bool),
) -> Imported {
    let (upstream, _) = upstream().await;
    let host = upstream.host.clone();
    let allowed = ["Bearer letmein", "Basic dXNlcjpzZWNyZXQ=", "Basic dXNlcjpyZWZyZXNoaW5n"];
    let (status, on_ping_only) = refusal;
    upstream.world().access = Some(Box::new(move |asked| {
        let path = asked.path.as_str();
        let is_in = asked.authorization.as_deref().is_some_and(|shown| allowed.contains(&shown));
        if path.starts_with("/token") {
            return Some(match (asked.method.as_str(), is_in) {
                ("POST", _) => (405, ("x-test", String::new()), String::new()),
                (_, true) => (200, ("x-test", String::new()), answer.to_owned()),
                (_, false) => (401, ("x-test", String::new()), String::new()),
            });
        }
        let challenge = ("www-authenticate", challenge.replace("HOST", &host));
        match (is_in, path == "/v2/" || !on_ping_only) {
            (true, _) => None,
            (false, true) if path == "/v2/" => Some((401, challenge, String::new())),
            (false, true) => Some((status, challenge, String::new())),
            (false, false) => Some((status, ("x-test", String::new()), String::new())),
        }
    }));
    let node = Node::new();
    let file = node.dir.path().join("auth.json");
    let auths = json!({ "auths": { upstream.host.clone(): entry } });
    std::fs::write(&file, auths.to_string()).unwrap();
    let what = Images { auth_file: Some(file), ..named(&[&app(&upstream)]) };
    node.add(&what).await.unwrap()
}

#[tokio::test]
async fn login_works_with_every_form_of_challenge() {
    let password = || json!({ "auth": "dXNlcjpzZWNyZXQ" });
    let bearer = r#"Bearer realm="http://HOST/token",service="x",scope="repository:team/app:pull""#;
    let token = r#"{"token":"letmein"}"#;
    for challenge in [
        "Basic realm=/",
        "basic Realm = x, charset=UTF-8",
        "Negotiate, Bearer realm=http://HOST/token,service=x",
        bearer,
    ] {
        only(&lets_in(password(), challenge, token, (401, false)).await);
    }
    for answer in [
        r#"{"token":"","access_token":"letmein"}"#,
        r#"{"token":null,"access_token":"letmein","expires_in":"60"}"#,
    ] {
        only(&lets_in(password(), bearer, answer, (401, false)).await);
    }
    // A token server without the exchange of refresh tokens takes one for a password.
    for refresh in [
        json!({ "auth": "dXNlcjo=", "identitytoken": "refreshing" }),
        json!({ "username": "user", "identitytoken": "refreshing" }),
    ] {
        only(&lets_in(refresh, bearer, token, (401, false)).await);
    }
    only(&lets_in(json!({ "registrytoken": "letmein" }), bearer, token, (401, false)).await);
    // Two ways offered, of which one leads nowhere.
    let both = r#"Bearer realm="http://127.0.0.1:1/token", Basic realm="x""#;
    only(&lets_in(password(), both, token, (401, false)).await);
    // A registry that asks only at its root, and refuses or hides everything else.
    for status in [401, 403, 404] {
        only(&lets_in(password(), bearer, token, (status, true)).await);
    }
}

#[tokio::test]
async fn a_busy_token_server_is_asked_again_when_it_says() {
    let (upstream, _) = upstream().await;
    upstream.world().token = Some(("user".to_owned(), "secret".to_owned()));
    let mut left = 2;
    upstream.world().access = Some(Box::new(move |asked| {
        let is_busy = asked.path.starts_with("/token") && left > 0;
        left -= usize::from(is_busy);
        is_busy.then(|| (403, ("retry-after", "0".to_owned()), String::new()))
    }));
    let node = Node::new();
    only(&node.add(&with_password(&node, &upstream)).await.unwrap());
}

#[tokio::test]
async fn a_file_of_credentials_that_does_not_read_is_named() {
    let (upstream, _) = upstream().await;
    upstream.world().password = Some(("user".to_owned(), "secret".to_owned()));
    let node = Node::new();
    let file = node.dir.path().join("broken.json");
    std::fs::write(&file, "{ \"auths\": ").unwrap();
    let what = Images { auth_file: Some(file.clone()), ..named(&[&app(&upstream)]) };
    let imported = node.add(&what).await.unwrap();
    let reason = &imported.failed[0].reason;
    assert!(reason.contains(&file.display().to_string()), "{reason}");
}
