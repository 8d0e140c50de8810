//! Lists of registries, page by page: tags and referrers. A page that cannot be read is reported.

use serde_json::json;

use super::odd::{list, listing, versions};
use super::{Node, tags};
use crate::made::{INDEX, digest_of};
use crate::upstream::{Answer, Upstream, World};

fn plain(body: &str) -> Option<Answer> {
    Some((200, ("x-none", String::new()), body.to_owned()))
}

#[tokio::test]
async fn links_that_cannot_be_followed_cost_no_tag() {
    for link in [
        "<http://[/v2/app/tags/list?last=v2>; rel=next",
        "<>; rel=next",
        "</v2/app/tags/list?n=1000>; rel='next'",
        "</v2/app/tags/list?again=1>; title=\"a; rel=prev\"; rel=next",
        "</v2/app/tags/list?page=1>; rel=next",
    ] {
        // Only `last` is understood. Every other address has the first page, and another page after
        // it: the same, or one that was never named.
        let mut page = 1;
        let name = listing(move |path| match path.split_once("last=").map(|(_, last)| last) {
            Some("v2") => list(&["v3", "v4"], None),
            Some(_) => list(&[], None),
            None => {
                page += 1;
                let link = link.replace("page=1", &format!("page={page}"));
                list(&["v1", "v2"], Some(link))
            }
        })
        .await;
        let (images, failed) = tags(&name).await.unwrap();
        assert_eq!((versions(&images), failed), (vec!["v1", "v2", "v3", "v4"], vec![]), "{link}");
    }
}

#[tokio::test]
async fn a_list_that_leads_in_a_circle_is_reported() {
    for link in ["<http://[/x>; rel=next", "<?page=1>; rel=next", "<?n=1000>; rel=next"] {
        let mut page = 1;
        let name = listing(move |_| {
            page += 1;
            list(&["v1", "v2"], Some(link.replace("page=1", &format!("page={page}"))))
        })
        .await;
        let (images, failed) = tags(&name).await.unwrap();
        assert_eq!((versions(&images), failed.len()), (vec!["v1", "v2"], 1), "{link}");
        assert!(failed[0].reason.contains("the list continues"), "{failed:?}");
    }
}

#[tokio::test]
async fn a_page_without_tags_is_told_from_an_error_that_is_sent_as_one() {
    let next = || Some("<?last=v2>; rel=next".to_owned());
    for (page, is_end) in [
        (r#"{"name":"app","tags":null}"#, true),
        (r#"{"name":"app","tags":[]}"#, true),
        (r#"{"name":"app"}"#, true),
        (r#"{"tags":null}"#, true),
        (r#"{"errors":[{"code":"UNKNOWN","message":"unknown"}]}"#, false),
        ("{}", false),
        ("null", false),
    ] {
        let name = listing(move |path| match path.contains("last=") {
            true => plain(page),
            false => list(&["v1", "v2"], next()),
        })
        .await;
        let (images, failed) = tags(&name).await.unwrap();
        assert_eq!((versions(&images), failed.is_empty()), (vec!["v1", "v2"], is_end), "{page}");
    }
}

/// The `Link` header of a page, by its number.
type Link = Box<dyn Fn(usize) -> String + Send>;

/// An image whose signatures the referrers API lists on pages of these lengths, of which the first
/// has an odd entry, too, if so asked; also the paths of the signatures in a layout.
async fn signed(pages: &[usize], link: Link, is_odd: bool) -> (Upstream, Vec<String>) {
    let mut world = World::default();
    let image = world.made.image("{}", &[b"layer".to_vec()]);
    world.tags.insert("app:v1".into(), digest_of(&image));
    let mut all = Vec::new();
    let mut listed = Vec::new();
    for (at, count) in pages.iter().enumerate() {
        let signature = |n| world.made.signature(Some(&image), &format!("{at}, {n}"));
        let page: Vec<_> = (0..*count).map(signature).collect();
        all.extend(page.iter().map(|one| format!("blobs/{}", digest_of(one).replace(':', "/"))));
        listed.push(page);
    }
    if is_odd {
        listed[0].insert(0, json!({ "digest": "md5:0", "size": 1 }));
    }
    let of_image = format!("/referrers/{}", digest_of(&image));
    world.odd = Some(Box::new(move |path| {
        path.contains(&of_image).then_some(())?;
        let at: usize = path.split_once("page=").map_or(0, |(_, page)| page.parse().unwrap());
        let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed[at] });
        Some((200, ("link", link(at)), body.to_string()))
    }));
    (Upstream::start(world).await, all)
}

#[tokio::test]
async fn all_pages_of_referrers_are_read_and_a_lost_one_is_reported() {
    let next = |at: usize| if at == 2 { String::new() } else { format!("<?page={}>", at + 1) };
    let lost = |link: &'static str| move |_: usize| link.to_owned();
    let pages: [(&[usize], Link, bool, usize); 4] = [
        (&[1, 0, 2], Box::new(next), false, 0),
        (&[1, 0, 2], Box::new(next), true, 1),
        (&[3], Box::new(lost("<http://[/>; rel=next")), false, 1),
        (&[3], Box::new(lost("<>; rel=next")), false, 1),
    ];
    for (pages, link, is_odd, failures) in pages {
        let (upstream, all) = signed(pages, link, is_odd).await;
        let imported = Node::new().one(&format!("docker://{}/app:v1", upstream.host)).await;
        assert_eq!((imported.failed.len(), all.len()), (failures, 3), "{:?}", imported.failed);
        let files = &imported.drafts[0].artifacts;
        let is_there = |path: &String| files.iter().any(|file| file.path.as_str() == path);
        assert!(all.iter().all(is_there), "{all:?}");
    }
}

#[tokio::test]
async fn answers_that_are_no_list_of_referrers_leave_the_tag_to_be_asked() {
    let image = json!({ "schemaVersion": 2, "layers": [] }).to_string();
    for (answer, failures) in [
        (String::new(), 0),
        ("<html>".into(), 0),
        ("{}".into(), 0),
        (image, 0),
        (json!({ "schemaVersion": 2, "manifests": null }).to_string(), 0),
        (json!({ "schemaVersion": "2", "manifests": [] }).to_string(), 1),
        (
            json!({ "schemaVersion": 2, "manifests": [{ "digest": "md5:0", "size": 1 }] })
                .to_string(),
            1,
        ),
    ] {
        let is_list = answer.contains("null");
        let mut world = World::default();
        let image = world.made.image("{}", &[b"layer".to_vec()]);
        world.tags.insert("app:v1".into(), digest_of(&image));
        let signature = world.made.signature(Some(&image), "by tag");
        let listed = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [signature] });
        let listed = world.made.manifest(&listed);
        let tag = format!("app:{}", digest_of(&image).replace(':', "-"));
        world.tags.insert(tag, digest_of(&listed));
        let said = answer.clone();
        let of_image = format!("/referrers/{}", digest_of(&image));
        world.odd = Some(Box::new(move |path| {
            path.contains(&of_image).then(|| (200, ("x-none", String::new()), said.clone()))
        }));
        let upstream = Upstream::start(world).await;
        let imported = Node::new().one(&format!("docker://{}/app:v1", upstream.host)).await;
        let path = format!("blobs/{}", digest_of(&signature).replace(':', "/"));
        let came = imported.drafts[0].artifacts.iter().any(|file| file.path.as_str() == path);
        assert_eq!((imported.failed.len(), came), (failures, !is_list), "{answer}");
    }
}
