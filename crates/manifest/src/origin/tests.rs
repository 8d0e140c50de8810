//! What of a URL is signed and shown, and what is left out.

use super::*;

/// A token of a forge, put together here so that no scanner takes this file for a leak.
fn forge_token() -> String {
    format!("glpat{}XYZ1234567890abcdef", "-")
}

fn web_token() -> String {
    format!("eyJ{}.eyJ{}.c2lnbmF0dXJl", "hbGciOiJIUzI1NiJ9", "zdWIiOiJtZSJ9")
}

#[test]
fn of_a_query_only_parts_that_are_known_to_name_something_are_signed() {
    let cases = [
        ("?s=abc", ""),
        ("?abc", ""),
        ("?n=1&t=1&e=2", ""),
        ("?raw", "?raw"),
        ("?file=x.tgz&s=abc&version=1.2", "?file=x.tgz&version=1.2"),
        ("?s=abc;v=1;k=2", "?v=1"),
        ("?v=1;token=a", "?v=1"),
        ("?id=42&os=linux&arch=amd64&", "?id=42&os=linux&arch=amd64&"),
        ("?version-id=3HL4&group_id=org.a&X=1", "?version-id=3HL4&group_id=org.a"),
        ("?url=https://b.test/y?v=1", "?url=https://b.test/y?v=1"),
        ("?url=https://b.test/y?s=abc", ""),
        ("?path=%2Fy%3Fs%3Dabc", ""),
        ("?url=https%253A%252F%252Fb.test%252Fy%253Fs%253Dabc", ""),
        ("?file=100%25.tgz", "?file=100%25.tgz"),
        (";v=1?", ";v=1?"),
    ];
    for (query, kept) in cases {
        let origin = Origin::of(&format!("https://a.test/x{query}"));
        let kept = format!("https://a.test/x{kept}");
        assert_eq!((&origin.text, origin.is_whole()), (&kept, kept.ends_with(query)), "{query}");
        assert_eq!(Origin::of(&kept).text, kept, "{query}: a second time");
    }
    let origin = Origin::of("see https://a.test/x?s=abc.");
    assert_eq!(origin.text, "see https://a.test/x.");
    assert_eq!(origin.withheld, ["`s` in the query"]);
    // The qualifiers of a package URL are not a query, but the URLs in them have one.
    let purl = |text: &str| Origin::of_purl(&Purl::parse(text).unwrap());
    assert!(purl("pkg:deb/debian/curl@8?arch=amd64&distro=sid&epoch=1").is_whole());
    assert!(purl("pkg:generic/x@1?download_url=https://a.test/x%3Fv%3D1").is_whole());
    assert!(!purl("pkg:generic/x@1?download_url=https://a.test/x%3Fs%3Dabc").is_whole());
}

#[test]
fn of_a_url_nothing_that_looks_like_a_secret_is_published() {
    let (forge, web) = (forge_token(), web_token());
    let random = "aB3".repeat(12);
    let cases: Vec<(String, &str)> = [
        // Names.
        ("/x.tgz", "/x.tgz"),
        ("/get?file=x.tgz&version=1.2", "/get?file=x.tgz&version=1.2"),
        ("/get?id=42&os=linux&arch=amd64", "/get?id=42&os=linux&arch=amd64"),
        ("/raw?h=0123456789abcdef0123456789abcdef", "/raw?h=0123456789abcdef0123456789abcdef"),
        ("/x?versionId=3HL4", "/x?versionId=3HL4"),
        ("/x?raw=true&ref=main", "/x?raw=true&ref=main"),
        ("/x?sp=1", "/x?sp=1"),
        ("/x?t=1&e=2", "/x?t=1&e=2"),
        ("/x?", "/x?"),
        ("/x#section", "/x#section"),
        ("https://a.test:8443/a@b/c:d", "https://a.test:8443/a@b/c:d"),
        ("docker://quay.io/team/app:1@sha256:00", "docker://quay.io/team/app:1@sha256:00"),
        ("docker://alpine@sha256:00", "docker://alpine@sha256:00"),
        ("ssh://git@a.test/x", "ssh://git@a.test/x"),
        ("file", "file"),
        ("", ""),
        // Users and passwords.
        ("https://me:pass@a.test/x", "/x"),
        ("https://me@a.test/x", "/x"),
        ("https://me:p@ss@a.test:1/x?y=1", "https://a.test:1/x?y=1"),
        ("helm+https://me:pass@a.test/charts/", "helm+https://a.test/charts/"),
        ("https://:pass@a.test", "https://a.test"),
        // Object stores.
        (
            "/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA&X-Amz-Date=1\
            &X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=ab",
            "/x",
        ),
        ("/x?versionId=1&x-amz-security-token=ab", "/x?versionId=1"),
        ("/x?AWSAccessKeyId=AK&Expires=1&Signature=ab", "/x"),
        ("/x?GoogleAccessId=a&Expires=1&Signature=ab", "/x"),
        ("/x?X-Goog-Algorithm=a&X-Goog-Signature=b", "/x"),
        ("/x?sv=2020-08-04&se=2026&sr=b&sp=r&sig=ab%3D", "/x"),
        ("/x?snapshot=1&sp=r&st=1&se=2&spr=https&sv=3&sr=c", "/x?snapshot=1"),
        ("/x?OSSAccessKeyId=a&Expires=1&Signature=b&security-token=c", "/x"),
        ("/x?q-sign-algorithm=sha1&q-ak=a&q-signature=b", "/x"),
        // Delivery networks.
        ("/x?Policy=a&Signature=b&Key-Pair-Id=c", "/x"),
        ("/x?hdnts=exp=1~acl=/*~hmac=ab", "/x"),
        ("/x?md5=ab&expires=1", "/x"),
        ("/x?token=ab&t=1&file=y", "/x?file=y"),
        ("/x?st=ab&e=1&file=y", "/x?file=y"),
        ("/x?n=1|2&token=a", "/x?n=1|2"),
        ("/x?n=`&token=a`", "/x?n=``"),
        ("/x?n=\\&token=a", "/x?n=\\"),
        ("/hdnts=exp=1~hmac=ab/x", "/REDACTED/x"),
        ("/day=2026-01-01/x", "/day=2026-01-01/x"),
        ("/x?tempauth=a&urlsig=b", "/x"),
        // Whatever calls itself a secret.
        ("/x?private_token=a", "/x"),
        ("/x?access_token=a&b=1", "/x?b=1"),
        ("/x?b=1&ACCESS%5FTOKEN=a", "/x?b=1"),
        ("/x?key=a", "/x"),
        ("/x?api-key=a&apiKey=b&license_key=c&edition=d", "/x?edition=d"),
        ("/x?client_id=a&client_secret=b", "/x?client_id=a"),
        ("/x?password=a&user=b", "/x"),
        ("/x?JSESSIONID=a", "/x"),
        ("/x;jsessionid=a/y;v=1", "/x/y;v=1"),
        ("/x#access_token=a&b=1", "/x"),
        // URLs in URLs.
        ("/x?to=https%3A%2F%2Fme%3Apw%40b.test%2F", "/x"),
        ("/x?to=%2Fy%3Ftoken%3Da", "/x"),
        ("/x?to=https://b.test/y", "/x?to=https://b.test/y"),
    ]
    .map(|(given, published)| (given.to_owned(), published))
    .into_iter()
    .chain([
        // By the looks of the value.
        (format!("/x?v={web}"), "/x"),
        (format!("/x?{web}"), "/x"),
        (format!("/x?v={forge}&n=1"), "/x?n=1"),
        (format!("/x?v={random}"), "/x"),
        (format!("/{web}/x"), "/REDACTED/x"),
        (format!("/{forge}/x"), "/REDACTED/x"),
        // In a text.
        (format!("my token is {forge}."), "my token is REDACTED."),
        (
            "perennial/left-out: https://me:pw@a.test/x?sig=a: gone (see https://b.test/y?n=1)"
                .into(),
            "perennial/left-out: https://a.test/x: gone (see https://b.test/y?n=1)",
        ),
    ])
    .collect();
    for (given, published) in cases {
        let [given, published] =
            [given.as_str(), published].map(|text| match text.starts_with('/') {
                true => format!("https://a.test{text}"),
                false => text.to_owned(),
            });
        let origin = Origin::shown(&given);
        assert_eq!(origin.text, published, "{given}");
        assert_eq!(origin.is_whole(), given == published, "{given}: {:?}", origin.withheld);
        assert_eq!(Origin::shown(&published).text, published, "{given}: a second time");
        assert!(origin.is_whole() || !Origin::of(&given).is_whole(), "{given}");
        for part in &origin.withheld {
            assert!(!part.contains("pass@") && !part.contains(&forge) && !part.contains("ab"));
        }
    }
}

#[test]
fn all_but_a_password_is_kept_if_that_is_asked_for() {
    let rest = format!("a.test/{}/x;key=2?key=3&s=abc#token=y", web_token());
    let origin = Origin::whole(&format!("from https://me:pw@{rest}, not {}", forge_token()));
    assert_eq!(origin.text, format!("from https://{rest}, not REDACTED"));
    assert_eq!(origin.withheld, [PASSWORD, "a token"]);
}

#[test]
fn of_the_target_of_a_redirect_host_and_path_are_published_at_most() {
    let of = |url: &str| Origin::of_target(url);
    let plain = Some("https://a.test/x".to_owned());
    for url in ["", "?n=1", "?X-Amz-Signature=a", "#y", "?a=b#c"] {
        assert_eq!(of(&format!("https://a.test/x{url}")), plain, "{url}");
    }
    assert_eq!(of("https://me:pw@a.test/x?y"), plain);
    assert_eq!(of(&format!("https://a.test/{}/x", web_token())), None);
    assert_eq!(of("https://a.test/x;token=a"), None);
    assert_eq!(of(&format!("https://a.test/{}/x", "aB3".repeat(12))), None);
}

#[test]
fn what_is_withheld_is_named_without_its_value() {
    let origin = Origin::of("https://me:pw@a.test/x?private_token=VALUE&sig=VALUE&sig=OTHER&v=1");
    let expected = [PASSWORD, "`private_token` in the query", "`sig` in the query"];
    assert_eq!(origin.withheld, expected);
}

#[test]
fn names_that_look_a_little_like_tokens_are_names() {
    for name in [
        "https://a.test/pypi-simple-index-1.2/x",
        "https://a.test/npm_package_name_1/x",
        "https://a.test/sk-learn-intelex-2024/x",
        "https://a.test/x?file=MyProgram-1.2.3-Linux-x86_64-Setup.AppImage",
        "https://a.test/x?rev=1&commit=0123456789abcdef0123456789abcdef01234567",
        "https://a.test/eyJ.txt",
    ] {
        assert_eq!(Origin::of(name), Origin { text: name.into(), withheld: Vec::new() });
    }
}

#[test]
fn any_text_is_read() {
    let deep = "x://?a=".repeat(200);
    for text in ["://", "a://", "://a", "http://?", "http://#", "é://ü@ö/ä?ß=%", "%", "?&=&", &deep]
    {
        let once = Origin::of(text);
        assert_eq!(Origin::of(&once.text).text, once.text, "{text}");
        let once = Origin::shown(text);
        assert_eq!(Origin::shown(&once.text).text, once.text, "{text}");
    }
}
