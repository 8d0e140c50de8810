//! Short forms for the responses in expected differences, as the table writes them.

use crate::table::Said;

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const BLOB: &str = "application/octet-stream";

/// Exactly these fields.
pub(crate) fn says<const N: usize>(fields: [(&'static str, &str); N]) -> Said {
    fields.map(|(field, value)| (field, value.to_owned())).into()
}

/// The fields of both.
pub(crate) fn and(mut said: Said, more: Said) -> Said {
    said.extend(more);
    said
}

/// The response to HEAD.
pub(crate) fn bare(mut said: Said) -> Said {
    said.retain(|(field, _)| *field != "body");
    said
}

/// An error in the format of the specification.
pub(crate) fn refused(status: u16, code: &str) -> Said {
    let (status, code) = (status.to_string(), format!("errors {code}"));
    says([("status", &status), ("Content-Type", JSON), ("body", &code)])
}

/// An error in plain text.
pub(crate) fn plain(status: u16, text: &str) -> Said {
    says([("status", &status.to_string()), ("Content-Type", TEXT), ("body", text)])
}

/// The reference's response to an unknown path.
pub(crate) fn no_page() -> Said {
    plain(404, "404 page not found\n")
}

/// The reference's response to an unknown method.
pub(crate) fn no_method(allow: &str) -> Said {
    and(plain(405, "Method not allowed\n"), says([("Allow", allow)]))
}

/// The headers that identify content.
pub(crate) fn named(name: &str) -> Said {
    let (digest, etag) = (format!("<{name}>"), format!("\"<{name}>\""));
    says([("Docker-Content-Digest", &digest), ("ETag", &etag)])
}

/// A whole manifest.
pub(crate) fn manifest(kind: &str, name: &str, bytes: &[u8]) -> Said {
    let (length, body) = (bytes.len().to_string(), format!("<{name}>"));
    let whole =
        [("status", "200"), ("Content-Type", kind), ("Content-Length", &length), ("body", &body)];
    and(says(whole), named(name))
}

/// A whole blob.
pub(crate) fn blob(name: &str, bytes: &[u8]) -> Said {
    let more = [("Accept-Ranges", "bytes"), ("Cache-Control", "max-age=31536000")];
    and(manifest(BLOB, name, bytes), says(more))
}

/// Part of a blob, and the reference's refusal of a range: it announces the length of the blob and
/// sends a shorter text.
pub(crate) fn cut_off(name: &str) -> Said {
    let fields = [
        ("status", "416"),
        ("Content-Type", TEXT),
        ("Cache-Control", "max-age=31536000"),
        ("body", "cut off"),
    ];
    and(says(fields), named(name))
}

/// An upload that has started or continues.
pub(crate) fn upload(status: u16, repository: &str, range: &str) -> Said {
    let (status, location) = (status.to_string(), format!("{repository}/blobs/uploads/<id>"));
    says([
        ("status", &status),
        ("Content-Length", "0"),
        ("Location", &location),
        ("Range", range),
        ("Docker-Upload-UUID", "<id>"),
    ])
}

/// Accepted content.
pub(crate) fn created(location: &str, name: &str) -> Said {
    let (location, digest) = (format!("{location}/<{name}>"), format!("<{name}>"));
    says([
        ("status", "201"),
        ("Content-Length", "0"),
        ("Location", &location),
        ("Docker-Content-Digest", &digest),
    ])
}

/// A JSON list.
pub(crate) fn list(body: &str) -> Said {
    says([
        ("status", "200"),
        ("Content-Type", JSON),
        ("Content-Length", &body.len().to_string()),
        ("body", body),
    ])
}

/// The node's response to a client that may not push.
pub(crate) fn challenged() -> Said {
    and(refused(401, "UNAUTHORIZED"), challenge())
}

/// The challenge that says how to authenticate.
pub(crate) fn challenge() -> Said {
    says([("WWW-Authenticate", "Bearer realm=\"http://<host>/token\",service=\"perennial\"")])
}
