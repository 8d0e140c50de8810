//! The commands that load a written image into container engines.

use perennial_control::WrittenImage;

use crate::paths::quoted;
use crate::screen::safe;

/// The last lines of a `get` of an image: its names, and what to type.
pub(super) fn usage(image: &WrittenImage, output: &str) -> String {
    let mut text = String::new();
    for name in &image.names {
        text += &format!("\n  image      {}", safe(name));
    }
    let path = quoted(output);
    let (docker, podman, containerd) = match image.archive {
        true => (
            format!("docker load -i {path}"),
            format!("podman load -i {path}"),
            format!("ctr images import {path}"),
        ),
        false => (
            format!("tar -C {path} -c . | docker load"),
            format!("tar -C {path} -c . | podman load"),
            format!("tar -C {path} -c . | ctr images import -"),
        ),
    };
    if image.docker {
        text += &format!("\n  docker     {}", safe(&docker));
    }
    text += &format!("\n  podman     {}", safe(&podman));
    text + &format!("\n  containerd {}", safe(&containerd))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(archive: bool, docker: bool) -> WrittenImage {
        WrittenImage {
            names: vec!["quay.io/team/app:v1".to_owned()],
            digest: "sha256:00".to_owned(),
            archive,
            docker,
        }
    }

    #[test]
    fn each_engine_has_its_command() {
        let text = usage(&image(true, true), "/tmp/app.tar");
        for line in [
            "image      quay.io/team/app:v1",
            "docker     docker load -i /tmp/app.tar",
            "podman     podman load -i /tmp/app.tar",
            "containerd ctr images import /tmp/app.tar",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let text = usage(&image(false, false), "/tmp/it's here");
        assert!(text.contains("tar -C '/tmp/it'\\''s here' -c . | podman load"), "{text}");
        assert!(!text.contains("docker"), "{text}");
    }
}
