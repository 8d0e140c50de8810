//! The files that make a layout of manifests and blobs.

use perennial_manifest::{BlobId, Role};
use perennial_oci::{
    Descriptor, Digest, LayoutFile, Manifest, OCI_INDEX, OCI_MANIFEST, REF_NAME, Stored,
};

fn stored(bytes: &[u8]) -> Stored {
    let sha256 = Digest::sha256_of(bytes).sha256().unwrap();
    Stored { blob: BlobId::of(bytes), sha256, size: bytes.len() as u64 }
}

/// The same on import and on push, or two archivists of one image would sign two lists.
#[test]
fn each_file_of_a_layout_has_one_role_and_one_media_type() {
    let header = LayoutFile::header();
    assert_eq!(header.bytes, br#"{"imageLayoutVersion":"1.0.0"}"#);
    let artifact = header.artifact(stored(&header.bytes)).unwrap();
    assert_eq!((artifact.path.as_str(), artifact.role), ("oci-layout", Role::Index));
    assert_eq!(artifact.media_type, "application/vnd.oci.layout.header.v1+json");

    let mut entry = Descriptor::new(OCI_MANIFEST, Digest::sha256_of(b"x"), 1);
    entry.annotations.insert(REF_NAME.into(), "v1".into());
    let index = LayoutFile::index(std::slice::from_ref(&entry)).unwrap();
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{}","size":1,"annotations":{{"{REF_NAME}":"v1"}}}}]}}"#,
        entry.digest
    );
    assert_eq!(String::from_utf8(index.bytes.clone()).unwrap(), text);
    assert_eq!(Manifest::parse(&index.bytes).unwrap().children(), [entry]);
    let artifact = index.artifact(stored(&index.bytes)).unwrap();
    assert_eq!((artifact.path.as_str(), artifact.role), ("index.json", Role::Index));
    assert_eq!((artifact.media_type.as_str(), artifact.origins.len()), (OCI_INDEX, 0));
}
