//! Guesses a file's role and media type from its name, for people and tools. No check relies on the
//! guess.

use perennial_manifest::Role;
use perennial_oci::HELM_PROVENANCE;

/// The role of a file and its media type (RFC 6838, IANA's registry), by its path. `licence` marks
/// a licence text that the publisher named.
pub(crate) fn guess(path: &str, licence: bool) -> (Role, &'static str) {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let media = if ends(&[".tar.gz", ".tgz", ".crate", ".gz"]) {
        "application/gzip"
    } else if ends(&[".zip", ".whl", ".jar"]) {
        "application/zip"
    } else if ends(&[".tar.zst", ".zst"]) {
        "application/zstd"
    } else if ends(&[".tar.xz", ".xz"]) {
        "application/x-xz"
    } else if ends(&[".tar"]) {
        "application/x-tar"
    } else if ends(&[".tgz.prov"]) {
        HELM_PROVENANCE
    } else if ends(&[".json"]) {
        "application/json"
    } else if ends(&[".yaml", ".yml"]) {
        "application/yaml"
    } else if ends(&[".html", ".htm"]) {
        "text/html"
    } else if ends(&[".md"]) {
        "text/markdown"
    } else if licence || ends(&[".txt", ".asc"]) || is_checksums(name) {
        "text/plain"
    } else {
        "application/octet-stream"
    };
    let role = if licence {
        Role::Licence
    } else if ends(&[
        ".tgz.prov",
        ".asc",
        ".sig",
        ".minisig",
        ".sigstore",
        ".sigstore.json",
        ".pem",
    ]) {
        Role::Signature
    } else if is_checksums(name) {
        Role::Checksums
    } else if ends(&[".spdx.json", ".cdx.json", ".spdx", ".sbom"]) {
        Role::Sbom
    } else if ends(&[".crate", ".deb", ".rpm", ".whl", ".gem", ".jar", ".apk"]) {
        Role::Package
    } else if ends(&[".md", ".txt", ".html", ".pdf", ".rst", ".adoc"]) || name.starts_with("readme")
    {
        Role::Doc
    } else if ends(&["-src.tar.gz", ".src.tar.gz", "-source.tar.gz", "-sources.jar"]) {
        Role::Source
    } else {
        Role::Binary
    };
    (role, media)
}

fn is_checksums(name: &str) -> bool {
    [".sha256", ".sha512", ".sha256sum", ".sha512sum", "sums", "sums.txt", "sha256sum.txt"]
        .iter()
        .any(|ending| name.ends_with(ending))
        || name == "shasums256.txt"
}
