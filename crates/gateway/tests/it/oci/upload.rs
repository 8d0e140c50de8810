//! Uploading blobs: permissions, order, rejections and cleanup.

use axum::body::{Body, Bytes};
use axum::http::Method;
use perennial_gateway::Options;
use perennial_manifest::BlobId;
use perennial_store::{BlobState, OpenOptions, Quota, Store};

use super::{
    CONSOLE, Image, TOKEN, TestRegistry, begin, bytes, copy, followed, incoming, key, push,
    request, sha256, sha512,
};

#[tokio::test]
async fn only_the_owner_changes_anything() {
    let registry = TestRegistry::new();
    let image = Image::new(bytes(10, 1));
    assert_eq!(push(&registry, "a", "v1", &image).await.status, 201);
    let paths = [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PATCH", "/v2/a/blobs/uploads/00".to_owned()),
        ("GET", "/v2/a/blobs/uploads/00".to_owned()),
        ("PUT", "/v2/a/manifests/v1".to_owned()),
        ("DELETE", "/v2/a/manifests/v1".to_owned()),
    ];
    let closed = TestRegistry::with(Options::default());
    for (method, path) in &paths {
        let method: Method = method.parse().unwrap();
        for headers in
            [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic Og==")]]
        {
            let answer = registry.ask(method.clone(), path, headers).await;
            answer.refused(401, "UNAUTHORIZED");
            assert!(
                answer
                    .header("www-authenticate")
                    .starts_with("Bearer realm=\"http://node.example:4480/")
            );
        }
        let message = closed.own(method.as_str(), path, &[], "").await.refused(405, "UNSUPPORTED");
        assert!(message.contains("token"), "{message}");
    }
    assert_eq!(registry.own_entries().len(), 1);
    assert_eq!(closed.get("/v2/").await.header("www-authenticate"), "");
    // The token is accepted as the password of any user.
    let basic = format!("Basic {}", base64(&format!("me:{TOKEN}")));
    let answer =
        registry.ask(Method::POST, "/v2/a/blobs/uploads/", &[("authorization", &basic)]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(incoming(&registry), 1);
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn blobs_come_whole_or_in_chunks_in_order() {
    let registry = TestRegistry::new();
    let blob = bytes(100_000, 1);
    let digest = sha256(&blob);
    let whole = registry
        .own("POST", &format!("/v2/a/b/blobs/uploads/?digest={digest}"), &[], &blob[..])
        .await;
    assert_eq!(
        (whole.status.as_u16(), whole.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert_eq!(whole.header("location"), format!("/v2/a/b/blobs/{digest}"));
    assert!(registry.get(whole.header("location")).await.bytes() == blob);

    let blob = bytes(100_000, 2);
    let digest = sha256(&blob);
    let at = begin(&registry, "a/b").await;
    assert!(at.starts_with("/v2/a/b/blobs/uploads/"), "{at}");
    let first = registry.own("PATCH", &at, &[("content-range", "0-39999")], &blob[..40_000]).await;
    assert_eq!((first.status.as_u16(), first.header("range")), (202, "0-39999"));
    assert_eq!(first.header("location"), at);
    for (range, piece) in [
        ("50000-59999", &blob[50_000..60_000]),
        ("0-39999", &blob[..40_000]),
        ("39999-49998", &blob[39_999..49_999]),
        ("40000-39999", &blob[..0]),
        ("x-y", &blob[..1]),
        ("99999999999999999999999-999999999999999999999999", &blob[..1]),
    ] {
        let wrong = registry.own("PATCH", &at, &[("content-range", range)], piece).await;
        wrong.refused(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(
            (wrong.header("range"), wrong.header("location")),
            ("0-39999", at.as_str()),
            "{range}"
        );
    }
    let short = [("content-range", "40000-49999"), ("content-length", "5")];
    registry.own("PATCH", &at, &short, &blob[..5]).await.refused(416, "BLOB_UPLOAD_INVALID");
    let status = registry.own("GET", &at, &[], "").await;
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-39999"));
    let second = registry.own("PATCH", &at, &[], &blob[40_000..90_000]).await;
    assert_eq!((second.status.as_u16(), second.header("range")), (202, "0-89999"));
    let end = format!("{at}?digest={digest}");
    let done =
        registry.own("PUT", &end, &[("content-range", "90000-99999")], &blob[90_000..]).await;
    assert_eq!(
        (done.status.as_u16(), done.header("docker-content-digest")),
        (201, digest.as_str())
    );
    assert!(registry.get(&format!("/v2/a/b/blobs/{digest}")).await.bytes() == blob);
    let named = registry.store.blob_of_sha256(&digest.parse().unwrap()).unwrap();
    assert_eq!(named, Some(BlobId::of(&blob)), "a digest computed here is known as such");
    registry.own("GET", &at, &[], "").await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(incoming(&registry), 0);
}

#[tokio::test]
async fn bytes_with_another_digest_are_not_stored() {
    let registry = TestRegistry::new();
    let blob = bytes(100_000, 1);
    for wrong in [sha256(b"other"), sha512(b"other")] {
        let whole = registry
            .own("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], &blob[..])
            .await;
        whole.refused(400, "DIGEST_INVALID");
        let at = begin(&registry, "a").await;
        registry
            .own("PUT", &format!("{at}?digest={wrong}"), &[], &blob[..])
            .await
            .refused(400, "DIGEST_INVALID");
        registry
            .own("PUT", &format!("{at}?digest={wrong}"), &[], "")
            .await
            .refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(registry.store.blob_state(&BlobId::of(&blob)).unwrap(), BlobState::Missing);
    assert_eq!(incoming(&registry), 0);
    let at = begin(&registry, "a").await;
    for query in ["", "?digest=", "?digest=md5:00", "?digest=sha256:zz"] {
        registry
            .own("PUT", &format!("{at}{query}"), &[], &blob[..])
            .await
            .refused(400, "DIGEST_INVALID");
    }
    registry
        .own("PATCH", &at.replace("/a/", "/b/"), &[], "x")
        .await
        .refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(registry.own("DELETE", &at, &[], "").await.status, 204);
    registry.own("PATCH", &at, &[], "x").await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(incoming(&registry), 0);
    registry.store.deny(BlobId::of(&blob).into(), "no".into()).unwrap();
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&blob));
    registry.own("POST", &path, &[], &blob[..]).await.refused(451, "DENIED");
    assert_eq!(incoming(&registry), 0);
}

#[tokio::test]
async fn an_interrupted_upload_can_be_resumed() {
    let registry = TestRegistry::new();
    let blob = bytes(100_000, 1);
    let at = begin(&registry, "a").await;
    let pieces = [Ok(Bytes::from(blob[..60_000].to_vec())), Err(std::io::Error::other("gone"))];
    let mut cut =
        request(Method::PATCH, &at, &[("authorization", &format!("Bearer {TOKEN}"))], Vec::new());
    *cut.body_mut() = Body::from_stream(futures::stream::iter(pieces));
    registry.send(cut).await.refused(400, "BLOB_UPLOAD_INVALID");
    let status = registry.own("GET", &at, &[], "").await;
    assert_eq!(status.header("range"), "0-59999");
    let digest = sha256(&blob);
    let done = registry.own("PUT", &format!("{at}?digest={digest}"), &[], &blob[60_000..]).await;
    assert_eq!(done.status, 201, "{:?}", done.body);
    assert!(registry.get(&format!("/v2/a/blobs/{digest}")).await.bytes() == blob);
    // A client cannot continue a single-request upload, because it never learned the location.
    let mut whole = request(
        Method::POST,
        &format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x")),
        &[("authorization", &format!("Bearer {TOKEN}"))],
        Vec::new(),
    );
    *whole.body_mut() =
        Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
    registry.send(whole).await.refused(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(incoming(&registry), 0);
}

#[tokio::test]
async fn a_held_blob_is_mounted_and_a_missing_one_is_uploaded() {
    let registry = TestRegistry::new();
    let digest = registry.push_blob("a", b"a blob").await;
    let mounted =
        registry.own("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], "").await;
    assert_eq!(
        (mounted.status.as_u16(), mounted.header("location")),
        (201, format!("/v2/b/blobs/{digest}").as_str())
    );
    let other = registry
        .own("POST", &format!("/v2/b/blobs/uploads/?mount={}&from=a", sha256(b"x")), &[], "")
        .await;
    assert_eq!(other.status, 202);
    assert!(other.header("location").contains("/v2/b/blobs/uploads/"));
    let other = registry.own("POST", "/v2/b/blobs/uploads/?mount=x", &[], "").await;
    assert_eq!(other.status, 202, "what cannot be mounted is uploaded");
    // A digest names the same bytes in every repository.
    assert_eq!(registry.get(mounted.header("location")).await.bytes(), b"a blob");
    assert_eq!(registry.get(&format!("/v2/c/blobs/{digest}")).await.bytes(), b"a blob");
    // Known content is not necessarily held: a client that pushes is told to send it.
    let image = Image::new(bytes(5000, 1));
    let signed = image.release(&registry.swarm, &key(2), "quay.io/a/b", "v1");
    let list = signed.release().unwrap().1.artifacts.blob;
    registry.store.put_entries(&[signed]).unwrap();
    copy(&registry.swarm, &registry.store, &list).unwrap();
    let layer = sha256(&image.layer);
    registry.own("HEAD", &format!("/v2/quay.io/a/b/blobs/{layer}"), &[], "").await;
    let head = registry.own("HEAD", &format!("/v2/quay.io/a/b/blobs/{layer}"), &[], "").await;
    assert_eq!(head.status, 404);
    let mount =
        registry.own("POST", &format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), &[], "").await;
    assert_eq!(mount.status, 202);
}

#[tokio::test]
async fn an_upload_that_does_not_fit_is_507_and_leaves_no_hole_in_the_limit() {
    const QUOTA: u64 = 32 << 20;
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { quota: Quota::Bytes(QUOTA), ..OpenOptions::default() };
    let store = Store::open(&dir.path().join("data"), options).unwrap();
    let registry =
        TestRegistry::on(store, Options { token: Some(TOKEN.into()), ..Options::default() });
    let room = registry.store.usage().unwrap().room;
    let size = usize::try_from(room).unwrap() - 2_000_000;
    let large = bytes(size, 1);
    // In chunks: the one that does not fit is declined, and what came before stays.
    let at = begin(&registry, "a").await;
    let first = registry.own("PATCH", &at, &[], &large[..]).await;
    assert_eq!(first.status, 202);
    assert!(registry.store.usage().unwrap().used > QUOTA - 4_000_000, "uploads count");
    let more = registry.own("PATCH", &at, &[], bytes(3_000_000, 2)).await;
    let message = more.refused(507, "DENIED");
    assert!(message.contains("disk space that its owner gives it"), "{message}");
    assert!(registry.store.usage().unwrap().used <= QUOTA);
    // Whole.
    let other = bytes(3_000_000, 3);
    let path = format!("/v2/b/blobs/uploads/?digest={}", sha256(&other));
    registry.own("POST", &path, &[], &other[..]).await.refused(507, "DENIED");
    assert_eq!(incoming(&registry), 1, "the one that can go on");
    // A cancelled upload is room again.
    assert_eq!(registry.own("DELETE", &at, &[], "").await.status, 204);
    assert_eq!(registry.own("POST", &path, &[], &other[..]).await.status, 201);
    assert!(registry.store.usage().unwrap().declined.is_none());
    assert!(registry.get(&format!("/v2/b/blobs/{}", sha256(&other))).await.bytes() == other);
}

#[tokio::test]
async fn a_layer_that_does_not_fit_is_507_at_its_pull() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { quota: Quota::Bytes(32 << 20), ..OpenOptions::default() };
    let store = Store::open(&dir.path().join("data"), options).unwrap();
    let registry = TestRegistry::on(store, Options::default());
    let image = Image::new(bytes(40_000_000, 7));
    let signed = image.release(&registry.swarm, &followed(&registry, 2), CONSOLE, "v1");
    registry.store.put_entries(&[signed]).unwrap();
    assert_eq!(registry.get(&format!("/v2/{CONSOLE}/manifests/v1")).await.status, 200);
    let layer = format!("/v2/{CONSOLE}/blobs/{}", sha256(&image.layer));
    let message = registry.get(&layer).await.refused(507, "DENIED");
    assert!(message.contains("no room"), "{message}");
}
