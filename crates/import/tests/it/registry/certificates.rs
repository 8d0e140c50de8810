//! The certificates that a caller keeps for a registry.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use perennial_import::Options;
use perennial_operation::Environment;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::{Nobody, Node, named};

/// A self-signed certificate, and its key.
fn certificate() -> rcgen::CertifiedKey {
    rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap()
}

/// A registry behind TLS that has nothing, for those whose certificate is `client`.
fn registry(own: &rcgen::CertifiedKey, client: Option<&CertificateDer<'static>>) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client {
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(own.key_pair.serialize_der());
    let config =
        Arc::new(builder.with_single_cert(vec![own.cert.der().clone()], key.into()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.get_mut().write_all(answer.as_bytes());
            let _ = stream.get_mut().flush();
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    host
}

/// The reason that an image of the registry does not come.
async fn reason(home: &Path, host: &str) -> String {
    let node = Node::new();
    let variables = [("HOME".into(), home.as_os_str().to_owned())];
    let environment = Environment::of(variables, 0, None);
    let options = Options {
        allow_private: true,
        tries: std::num::NonZeroU32::new(1),
        environment,
        ..Options::default()
    };
    let what = named(&[&format!("docker://{host}/app:v1")]);
    let imported = perennial_import::images(&node.store, &options, &what, &Nobody).await.unwrap();
    imported.failed[0].reason.clone()
}

#[tokio::test]
async fn a_registry_is_trusted_and_called_with_the_certificates_kept_for_it() {
    let (own, client) = (certificate(), certificate());
    let home = tempfile::tempdir().unwrap();
    for asks in [false, true] {
        let host = registry(&own, asks.then(|| client.cert.der()));
        let dir = home.path().join(".config/containers/certs.d").join(&host);
        assert!(reason(home.path(), &host).await.contains("certificate"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("ca.crt"), own.cert.pem()).unwrap();
        if asks {
            let refused = reason(home.path(), &host).await;
            assert!(!refused.contains("no such tag"), "{refused}");
            std::fs::write(dir.join("client.cert"), client.cert.pem()).unwrap();
            let refused = reason(home.path(), &host).await;
            assert!(refused.contains("client.key"), "{refused}");
            std::fs::write(dir.join("client.key"), client.key_pair.serialize_pem()).unwrap();
        }
        let reached = reason(home.path(), &host).await;
        assert!(reached.contains("no such tag"), "{reached}");
        std::fs::write(dir.join("other.crt"), "no certificate").unwrap();
        let refused = reason(home.path(), &host).await;
        assert!(refused.contains("other.crt"), "{refused}");
    }
}
