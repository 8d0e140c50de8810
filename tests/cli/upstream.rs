//! Imports in the caller's environment: proxies and credentials count the same whether a running
//! node carries the import out or the command's own process, and name what does not read.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use perennial_tests::Daemon;

use super::program::{Place, Said, said};

/// A proxy for files, and a registry that has nothing and asks for the password `me:secret`.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let answer = if head.starts_with("get http://files.example/f.bin ") {
                "200 OK\r\nContent-Length: 20\r\n\r\nby way of the proxy\n"
            } else if head.contains("/v2/") && !head.contains("authorization: basic bwu6c2vjcmv0") {
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=/\r\nContent-Length: 0\r\n\r\n"
            } else {
                "404 Not Found\r\nContent-Length: 0\r\n\r\n"
            };
            let answer =
                format!("HTTP/1.1 {}", answer.replacen("\r\n", "\r\nConnection: close\r\n", 1));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    host
}

fn run(place: &Place, variables: &[(&str, &str)], args: &[&str]) -> Said {
    let mut command = place.command(args);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    said(command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn the_callers_environment_decides_with_a_node_and_without() {
    let place = Place::new();
    let host = serve();
    let auths = format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#);
    place.file("docker/config.json", auths.as_bytes());
    place.file("home/.config/containers/auth.json", auths.as_bytes());
    let image = format!("docker://{host}/app:v1");
    let image = ["add", "--allow-private", "--plain-http", &image];
    let proxy = format!("http://{host}");
    place.row(&["key"]);
    let mut node = None;
    for version in ["1", "2"] {
        let file = ["add", "--name", "f", "--version", version, "http://files.example/f.bin"];
        let added = run(&place, &[("HTTP_PROXY", &proxy)], &file);
        assert_eq!(added.code, Some(0), "{version}: {added:?}");
        // A file of podman's; a file of docker's, whose relative path is the caller's.
        for variables in [&[][..], &[("DOCKER_CONFIG", "docker"), ("HOME", "/nowhere")]] {
            let asked = run(&place, variables, &image);
            assert_eq!(asked.code, Some(3), "{version}: {asked:?}");
            assert!(asked.stdout.contains("has no such tag"), "{version}: {asked:?}");
        }
        let asked = run(&place, &[("HOME", "/nowhere")], &image);
        assert!(asked.stdout.contains("/nowhere/.docker/config.json"), "{version}: {asked:?}");
        // A proxy that is of no kind is refused at once, and nothing goes past it.
        let start = Instant::now();
        let refused = run(&place, &[("ALL_PROXY", "gopher://127.0.0.1:70")], &file);
        assert_eq!(refused.code, Some(2), "{version}: {refused:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "it is not tried again");
        if node.is_none() {
            node = Some(Daemon::start(&place.path("data"), &[]));
        }
    }
}

#[test]
fn a_name_is_given_to_the_file_of_one_url_only() {
    let place = Place::new();
    let base = ["add", "--name", "f", "--version", "1", "--file-name"];
    for rest in [
        &["own.bin", "https://a.invalid/1", "https://a.invalid/2"][..],
        &["own.bin", "docker://a.invalid/b:1"],
        &["../own.bin", "https://a.invalid/1"],
    ] {
        let said = place.fails(2, &[&base[..], rest].concat());
        assert!(said.stderr.contains("hint: "), "{said:?}");
    }
}
