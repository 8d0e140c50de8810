//! Allowed and refused addresses, one by one and through the client.

use reqwest::Method;

use super::*;
use crate::client::{Client, Failure};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn only_the_public_internet_is_public() {
    let private = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.168.1.1",
        "198.19.0.1",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
    ];
    for address in private {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "64:ff9b::808:808",
    ];
    for address in public {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn addresses_in_urls_are_judged_in_every_spelling() {
    let guard = Guard::with(is_public);
    for wrong in [
        "http://127.0.0.1/",
        "https://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://017700000001/",
        "http://[::1]:8080/",
        "http://[::ffff:10.0.0.1]/",
        "https://user:pw@169.254.169.254/latest/",
    ] {
        let error = guard.check(&url(wrong)).unwrap_err();
        assert!(matches!(error, ImportError::Private(_)), "{wrong}");
        assert!(error.to_string().contains("--allow-private"), "{error}");
    }
    for right in ["https://example.org/", "https://8.8.8.8/", "https://[2606:4700::1111]/"] {
        guard.check(&url(right)).unwrap();
    }
    Guard::with(|_| true).check(&url("http://127.0.0.1/")).unwrap();
}

#[test]
fn only_public_addresses_of_a_name_are_called() {
    let guard = Guard::with(is_public);
    let (inside, outside): (IpAddr, IpAddr) =
        ("10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap());
    assert_eq!(guard.choose("a.test", vec![inside, outside]), Ok(vec![outside]));
    assert_eq!(
        guard.choose("a.test", vec![inside]),
        Err(Refused::Private("a.test (10.0.0.1)".into()))
    );
    let proxied = Guard { proxies: Arc::new(["proxy.test".to_owned()].into()), ..guard };
    assert_eq!(proxied.choose("proxy.test", vec![inside]), Ok(vec![inside]));
    assert!(proxied.choose("a.test", vec![inside]).is_err());
}

#[test]
fn redirects_are_bounded_and_never_downgrade() {
    let guard = Guard::with(is_public);
    let https = [url("https://a.test/")];
    let judge = |next: &str| guard.judge_redirect(&https, &url(next));
    assert_eq!(judge("https://b.test/"), Ok(()));
    assert!(matches!(judge("http://a.test/"), Err(Refused::Redirect(_))));
    assert!(matches!(judge("ftp://a.test/"), Err(Refused::Redirect(_))));
    assert_eq!(judge("https://10.0.0.1/"), Err(Refused::Private("10.0.0.1".into())));
    let many = vec![url("https://a.test/"); REDIRECTS + 1];
    assert_eq!(guard.judge_redirect(&many[1..], &url("https://a.test/")), Ok(()));
    assert!(guard.judge_redirect(&many, &url("https://a.test/")).is_err());
}

/// A server that answers every request with a redirect to `to`.
async fn redirecting(to: &str) -> (Url, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = to.replace("PORT", &port.to_string());
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\
                Connection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url(&format!("http://127.0.0.1:{port}/")), serving)
}

/// The error for a refused URL; the refusal must be permanent.
async fn refused(client: &Client, url: &Url) -> ImportError {
    match client.send(client.request(Method::GET, url)).await {
        Err(Failure::Permanent(error)) => error,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn the_client_follows_no_redirect_into_the_private_network() {
    // The test's own server stands for the public internet.
    let guard = Guard::with(|address| address == IpAddr::from([127, 0, 0, 1]));
    let client = Client::behind(guard).unwrap();
    for to in ["http://127.0.0.2:PORT/", "http://10.0.0.1/", "http://[::1]:PORT/"] {
        let (from, serving) = redirecting(to).await;
        let refused = refused(&client, &from).await;
        assert!(matches!(refused, ImportError::Private(_)), "{to}: {refused:?}");
        serving.abort();
    }
    let (from, serving) = redirecting("/again").await;
    let said = refused(&client, &from).await.to_string();
    assert!(said.contains("more than 10 redirects"), "{said}");
    serving.abort();
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_called() {
    let client = Client::new(&Options::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asked = url(&format!("http://localhost:{}/", listener.local_addr().unwrap().port()));
    let said = refused(&client, &asked).await.to_string();
    assert!(said.contains("localhost (") && said.contains("--allow-private"), "{said}");
}

#[tokio::test]
async fn a_name_without_a_host_is_resolved_once() {
    let client = Client::new(&Options::default()).unwrap();
    for name in ["nobody.invalid", "nobody.invalid."] {
        let said = refused(&client, &url(&format!("https://{name}/"))).await.to_string();
        assert!(said.contains("there is no host nobody.invalid"), "{said}");
    }
    let says =
        |text: &str| std::io::Error::other(format!("failed to lookup address information: {text}"));
    for gone in [
        "Name or service not known",
        "Name does not resolve",
        "No address associated with hostname",
    ] {
        assert!(is_no_host(&says(gone)), "{gone}");
    }
    for later in ["Temporary failure in name resolution", "Try again"] {
        assert!(!is_no_host(&says(later)), "{later}");
    }
    assert!(!is_no_host(&std::io::Error::from_raw_os_error(24)));
}
