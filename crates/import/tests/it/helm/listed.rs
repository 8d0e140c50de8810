//! Charts that a repository lists and a registry holds; one server is both.

use perennial_import::{Chart, ChartImported, ImportError, Options, chart};
use perennial_manifest::Role;
use perennial_operation::ErrorKind;

use crate::helm::{plain, sha256};
use crate::web::{Here, Reply, Seen, Web};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A repository whose index lists chart `a` with the digest `listed` and a URL in the registry
/// beside it, which holds `archive`.
async fn upstream(archive: Vec<u8>, listed: &str, media_type: &str) -> Web {
    let (config, chart) = (b"{}".to_vec(), archive);
    let named = |media_type: &str, bytes: &[u8]| {
        let (digest, size) = (sha256(bytes), bytes.len());
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}"#)
    };
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
        named("application/vnd.cncf.helm.config.v1+json", &config),
        named(media_type, &chart),
    );
    let digest = sha256(manifest.as_bytes());
    let listed = listed.replace("MANIFEST", &digest);
    Web::start(move |asked| {
        let blob = |bytes: &[u8]| format!("/v2/charts/a/blobs/sha256:{}", sha256(bytes));
        match asked.path.as_str() {
            "/charts/index.yaml" => {
                let host = asked.header("host").unwrap();
                let url = format!("oci://{host}/charts/a");
                let chart = format!("{{version: 1.2.0+b, urls: ['{url}'], digest: '{listed}'}}");
                Reply::ok(format!("entries: {{a: [{chart}]}}"))
            }
            path if path == "/v2/charts/a/manifests/1.2.0_b" || path.ends_with(&digest) => {
                Reply::ok(manifest.clone())
                    .header("docker-content-digest", &format!("sha256:{digest}"))
            }
            path if path == blob(&config) => Reply::ok(config.clone()),
            path if path == blob(&chart) => Reply::ok(chart.clone()),
            _ => Reply::status(404),
        }
    })
    .await
}

async fn import(web: &Web) -> Result<ChartImported, ImportError> {
    let options = Options { allow_private: true, plain_http: true, ..Options::default() };
    let here = Here::new();
    let repo = format!("helm+{}", web.url("/charts"));
    let what = Chart { repo, name: "a".into(), version: None, with_images: true };
    let came = chart(&here.store, &options, &what, &Seen::default()).await;
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());
    came
}

#[tokio::test]
async fn a_chart_that_is_only_listed_comes_from_its_registry() {
    const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    for listed in [sha256(&plain("a")), "sha256:MANIFEST".into(), String::new()] {
        let web = upstream(plain("a"), &listed, CHART).await;
        let got = import(&web).await.unwrap();
        assert_eq!((got.imported.failed.len(), got.images), (0, vec!["quay.io/x/y:1".to_owned()]));
        let draft = &got.imported.drafts[0];
        let purl = (draft.purl.ty(), draft.purl.name(), draft.purl.version());
        assert_eq!(purl, ("docker", "a", Some("1.2.0_b")));
        assert_eq!(draft.from, format!("docker://{}/charts/a:1.2.0_b", web.addr));
        let chart = draft.artifacts.iter().find(|artifact| artifact.role == Role::Chart).unwrap();
        assert_eq!(chart.sha256.to_hex(), sha256(&plain("a")));
    }
    for (listed, media_type, why, kind) in [
        (sha256(b"other"), CHART, "the index says", ErrorKind::Verification),
        (String::new(), "a/b", "it contains no chart", ErrorKind::Failed),
    ] {
        let web = upstream(plain("a"), &listed, media_type).await;
        let error = import(&web).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
