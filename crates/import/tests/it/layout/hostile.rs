//! Archives that lie, lead elsewhere, or are damaged.

use serde_json::{Value, json};

use crate::layout::{Files, Node, files, tagged, write_dir, write_tar};
use crate::made::{Made, digest_of, noise, sha256};

/// A manipulation, and a part of the error that it must cause.
type Lie<T> = (fn(&mut T), &'static str);

fn image() -> (Made, Value, Files) {
    let mut made = Made::default();
    let image = made.image("{}", &[noise(1, 90_000)]);
    let files = files(&made, &[(&image, tagged("quay.io/team/app:1"))]);
    (made, image, files)
}

fn layer(files: &mut Files) -> &mut (String, Vec<u8>) {
    let name = format!("blobs/{}", sha256(&noise(1, 90_000)).replace(':', "/"));
    files.iter_mut().find(|(path, _)| *path == name).unwrap()
}

#[tokio::test]
async fn wrong_truncated_overlong_and_missing_blobs_leave_no_draft() {
    let damages: [Lie<Vec<u8>>; 3] = [
        (|bytes| bytes[7] ^= 1, "has the digest"),
        (|bytes| bytes.truncate(50), "50 bytes are there"),
        (|bytes| bytes.push(0), "90001 bytes are there"),
    ];
    for (damage, said) in damages {
        let node = Node::new();
        let (_, _, mut files) = image();
        damage(&mut layer(&mut files).1);
        write_tar(&node.path("a.tar"), &files);
        write_dir(&node.path("dir"), &files);
        for source in [
            format!("oci:{}", node.path("dir").display()),
            format!("oci-archive:{}", node.path("a.tar").display()),
        ] {
            let imported = node.add(&source, None).await.unwrap();
            assert!(imported.drafts.is_empty());
            assert!(imported.failed[0].reason.contains(said), "{:?}", imported.failed);
        }
        let sha256 = sha256(&noise(1, 90_000)).parse().unwrap();
        assert_eq!(node.store.blob_of_sha256(&sha256).unwrap(), None);
    }
    let node = Node::new();
    let (_, _, mut files) = image();
    layer(&mut files).0 = "elsewhere".into();
    write_tar(&node.path("a.tar"), &files);
    let imported =
        node.add(&format!("oci-archive:{}", node.path("a.tar").display()), None).await.unwrap();
    assert!(imported.failed[0].reason.contains("not in the archive"), "{:?}", imported.failed);
}

#[tokio::test]
async fn links_in_a_directory_lead_nowhere() {
    let node = Node::new();
    let (_, _, mut files) = image();
    write_dir(&node.path("dir"), &files);
    let name = node.path("dir").join(&layer(&mut files).0);
    std::fs::rename(&name, node.path("outside")).unwrap();
    std::os::unix::fs::symlink(node.path("outside"), &name).unwrap();
    let imported = node.add(&format!("oci:{}", node.path("dir").display()), None).await.unwrap();
    assert!(imported.failed[0].reason.contains("not in the archive"), "{:?}", imported.failed);
}

#[tokio::test]
async fn links_in_a_tar_stay_inside_it_and_terminate() {
    let node = Node::new();
    std::fs::write(node.path("outside"), noise(1, 90_000)).unwrap();
    let absolute = node.path("outside").display().to_string();
    for target in ["../../../outside", &absolute, "../sha256/loop"] {
        let (_, _, mut files) = image();
        let (name, _) = layer(&mut files).clone();
        files.retain(|(path, _)| *path != name);
        let mut tar = tar::Builder::new(std::fs::File::create(node.path("a.tar")).unwrap());
        for (path, bytes) in &files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, &bytes[..]).unwrap();
        }
        for (from, to) in [(name.as_str(), target), ("blobs/sha256/loop", "loop")] {
            let mut link = tar::Header::new_gnu();
            link.set_entry_type(tar::EntryType::Symlink);
            link.set_size(0);
            tar.append_link(&mut link, from, to).unwrap();
        }
        tar.finish().unwrap();
        let imported =
            node.add(&format!("oci-archive:{}", node.path("a.tar").display()), None).await.unwrap();
        assert!(imported.drafts.is_empty(), "{target}");
        assert!(
            imported.failed[0].reason.contains("not in the archive"),
            "{target}: {:?}",
            imported.failed
        );
    }
}

#[tokio::test]
async fn truncated_compressed_and_oversized_tars_are_refused_with_a_reason() {
    let node = Node::new();
    let (_, _, files) = image();
    let path = node.path("a.tar");
    let source = format!("oci-archive:{}", path.display());
    write_tar(&path, &files);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..50_000]).unwrap();
    assert!(node.add(&source, None).await.unwrap_err().to_string().contains("cut short"));
    std::fs::write(&path, [&[0x1f, 0x8b], &whole[..]].concat()).unwrap();
    assert!(node.add(&source, None).await.unwrap_err().to_string().contains("cannot be unpacked"));
    std::fs::write(&path, [b"\xfd7zXZ\0", &whole[..]].concat()).unwrap();
    assert!(node.add(&source, None).await.unwrap_err().to_string().contains("unxz"));
    std::fs::write(&path, noise(3, 5_000)).unwrap();
    assert!(node.add(&source, None).await.unwrap_err().to_string().contains("not a whole tar"));
    // A name of 100 GiB, in a sparse file.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(100 << 30);
    header.set_path("././@LongLink").unwrap();
    header.set_cksum();
    std::fs::write(&path, header.as_bytes()).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(101 << 30).unwrap();
    assert!(node.add(&source, None).await.unwrap_err().to_string().contains("64 MiB"));
    assert!(
        node.add("oci-archive:/dev/null", None)
            .await
            .unwrap_err()
            .to_string()
            .contains("not a file")
    );
}

#[tokio::test]
async fn claims_of_an_index_cost_nothing() {
    let lies: [Lie<Value>; 4] = [
        (|layer| layer["size"] = json!(u64::MAX), "more than a blob may have"),
        (|layer| layer["digest"] = json!("sha256:../../../../etc/passwd"), "is not a digest"),
        (|layer| layer["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e"), "not known"),
        (|layer| layer["size"] = json!(1), "90000 bytes are there"),
    ];
    for (lie, said) in lies {
        let node = Node::new();
        let (mut made, image, _) = image();
        let mut manifest: Value = serde_json::from_slice(&made.0[&digest_of(&image)].1).unwrap();
        lie(&mut manifest["layers"][0]);
        let image = made.manifest(&manifest);
        write_dir(&node.path("dir"), &files(&made, &[(&image, tagged("quay.io/team/app:1"))]));
        let imported =
            node.add(&format!("oci:{}", node.path("dir").display()), None).await.unwrap();
        assert!(imported.failed[0].reason.contains(said), "{:?}", imported.failed);
    }
    // Indexes of indexes, nested beyond the limit.
    let node = Node::new();
    let (mut made, mut nested, _) = image();
    for _ in 0..6 {
        nested = made.manifest(
            &json!({ "schemaVersion": 2, "mediaType": crate::made::INDEX, "manifests": [nested] }),
        );
    }
    write_dir(&node.path("dir"), &files(&made, &[(&nested, tagged("quay.io/team/app:1"))]));
    let imported = node.add(&format!("oci:{}", node.path("dir").display()), None).await.unwrap();
    assert!(imported.failed[0].reason.contains("deep"), "{:?}", imported.failed);
}

#[tokio::test]
async fn an_index_and_a_manifest_at_once_is_not_an_image() {
    let node = Node::new();
    let (mut made, image, _) = image();
    let mut both: Value = serde_json::from_slice(&made.0[&digest_of(&image)].1).unwrap();
    both["manifests"] = json!([image]);
    let both = made.manifest(&both);
    write_dir(&node.path("dir"), &files(&made, &[(&both, tagged("quay.io/team/app:1"))]));
    let imported = node.add(&format!("oci:{}", node.path("dir").display()), None).await.unwrap();
    assert!(imported.drafts.is_empty());
    let reason = &imported.failed[0].reason;
    assert!(reason.contains("an index and a manifest at once"), "{reason}");
}
