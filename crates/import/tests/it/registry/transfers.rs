//! Blobs and manifests that a registry sends in an odd way: packed, or another part than was asked.

use std::collections::BTreeMap;
use std::io::Write;

use super::{Node, blob, only};
use crate::made::{Made, digest_of, noise, sha256};
use crate::web::{Asked, Reply, Web};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// The layer of the image that [`serve`] has.
fn layer() -> Vec<u8> {
    noise(7, 300_000)
}

/// Imports an image from a registry that has an answer of its own for some requests: with the bytes
/// that are asked for, and whether these are the layer.
async fn serve(
    answer: impl Fn(&Asked, &[u8], bool) -> Option<Reply> + Send + Sync + 'static,
) -> (Node, perennial_import::Imported, Web) {
    let mut made = Made::default();
    let image = digest_of(&made.image("{}", &[layer()]));
    let all: BTreeMap<String, Vec<u8>> =
        made.0.iter().map(|(digest, (_, bytes))| (digest.clone(), bytes.clone())).collect();
    let layer = sha256(&layer());
    let web = Web::start(move |asked| {
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        let name = if name == "v1" { &image } else { name };
        let Some(bytes) = all.get(name) else { return Reply::status(404) };
        let plain = || Reply::ok(bytes.clone()).header("docker-content-digest", name);
        answer(asked, bytes, name == layer).unwrap_or_else(plain)
    })
    .await;
    let node = Node::new();
    let imported = node.one(&format!("docker://{}/app:v1", web.addr)).await;
    (node, imported, web)
}

#[tokio::test]
async fn a_refused_range_ends_in_one_request_for_all() {
    for status in [416, 206] {
        let (node, imported, web) =
            serve(move |asked, bytes, is_layer| match (is_layer, asked.from(), asked.before) {
                (true, None, 0) => Some(Reply::ok(bytes).cut(100_000)),
                (true, Some(_), _) if status == 206 => Some(Reply::rest(bytes, 5)),
                (true, Some(_), _) => Some(Reply::status(416)),
                _ => None,
            })
            .await;
        assert_eq!(node.bytes(blob(only(&imported), &sha256(&layer()))), layer(), "{status}");
        assert_eq!(web.asked(&format!("/v2/app/blobs/{}", sha256(&layer()))).len(), 3);
    }
}

#[tokio::test]
async fn a_registry_that_breaks_off_and_refuses_ranges_is_given_up() {
    let (_, imported, _) = serve(|asked, bytes, is_layer| match (is_layer, asked.from()) {
        (true, None) => Some(Reply::ok(bytes).cut(100_000)),
        (true, Some(_)) => Some(Reply::status(416)),
        _ => None,
    })
    .await;
    assert_eq!((imported.drafts.len(), imported.failed.len()), (0, 1));
    assert!(imported.failed[0].reason.contains("nothing more came"), "{:?}", imported.failed);
}

#[tokio::test]
async fn answers_that_are_packed_unasked_are_unpacked() {
    // With its length and without, and a label on what is not packed.
    for (is_packed, has_length) in [(true, true), (true, false), (false, true), (false, false)] {
        let (node, imported, _) = serve(move |_, bytes, _| {
            let body = if is_packed { gzip(bytes) } else { bytes.to_vec() };
            let reply = Reply::ok(body).header("content-encoding", "X-GZip");
            Some(if has_length { reply } else { reply.chunked() })
        })
        .await;
        let came = node.bytes(blob(only(&imported), &sha256(&layer())));
        assert_eq!(came, layer(), "{is_packed}, {has_length}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_unpacked_is_refused_by_the_name_of_its_coding() {
    for of_layer in [true, false] {
        let (_, imported, _) = serve(move |_, _, is_layer| {
            let odd = || Reply::ok("xyz").header("content-encoding", "br");
            (is_layer == of_layer).then(odd)
        })
        .await;
        let reason = &imported.failed[0].reason;
        assert!(reason.contains("br, and only gzip"), "{reason}");
    }
}
