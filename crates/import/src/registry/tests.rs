//! Redirects of a registry; none may lead into the private network.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use perennial_oci::Digest;

use super::repository::Repository;
use crate::client::Client;
use crate::guard::Guard;
use crate::{ImportError, Options};

/// A registry on 127.0.0.1 that answers every request alike.
async fn registry(answer: String) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (host, serving)
}

#[tokio::test]
async fn a_registry_cannot_redirect_into_the_private_network() {
    // No request may arrive here; the test's own registry stands for the public internet.
    let inside = TcpListener::bind("127.0.0.2:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let guard = Guard::with(|address| address == IpAddr::from([127, 0, 0, 1]));
    let options = Options { plain_http: true, ..Options::default() };
    let digest = Digest::sha256_of(b"");
    for to in [format!("http://{}", inside.local_addr().unwrap()), "http://169.254.169.254".into()]
    {
        let refused = [
            format!(
                "401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"{to}/token\",service=\"x\""
            ),
            format!("307 Temporary Redirect\r\nLocation: {to}/blob"),
        ];
        for head in refused {
            let answer =
                format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let (host, serving) = registry(answer).await;
            let reference = format!("{host}/a/b:1").parse().unwrap();
            let client = Client::behind(guard.clone()).unwrap();
            let repository =
                Repository::new(client, &options, &reference, Some("/nowhere".into())).unwrap();
            let error = repository.manifest(&digest).await.unwrap_err();
            assert!(matches!(error, ImportError::Private(_)), "{head}: {error:?}");
            serving.abort();
        }
        // A list whose next page is on another host goes on at the registry itself.
        let page = r#"{"tags":["1"]}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nLink: <{to}/next>; rel=\"next\"\r\nContent-Length: {}\r\n\
            Connection: close\r\n\r\n{page}",
            page.len()
        );
        let (host, serving) = registry(answer).await;
        let reference = format!("{host}/a/b:1").parse().unwrap();
        let client = Client::behind(guard.clone()).unwrap();
        let repository = Repository::new(client, &options, &reference, None).unwrap();
        let listed = repository.tags().await.unwrap();
        assert_eq!(Vec::from_iter(listed.tags), ["1"]);
        assert!(listed.failed[0].reason.contains("cannot be read"), "{:?}", listed.failed);
        serving.abort();
    }
    assert_eq!(inside.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "a request arrived");
}
