//! Which parts of a query name a thing, and which open a door.
//!
//! A short secret looks like any other word, so what is signed has only parts whose names say that
//! they name something. What looks like a secret is left out everywhere, by its name first: the
//! signatures of object stores and of delivery networks, session ids, and everything that calls
//! itself a key, a token or a password. Then by its value.

use std::collections::BTreeSet;

use super::Origin;
use super::token::{is_random, is_token};

/// Names of parts that name a file, a version of it, or a variant, without separators and in lower
/// case.
const NAMING: [&str; 56] = [
    "arch",
    "archive",
    "artifact",
    "artifactid",
    "branch",
    "build",
    "channel",
    "classifier",
    "commit",
    "component",
    "cpu",
    "dir",
    "dist",
    "distro",
    "dl",
    "download",
    "edition",
    "ext",
    "extension",
    "file",
    "filename",
    "filepath",
    "flavor",
    "folder",
    "format",
    "group",
    "groupid",
    "id",
    "inline",
    "lang",
    "language",
    "locale",
    "module",
    "name",
    "os",
    "package",
    "packaging",
    "path",
    "pkg",
    "plain",
    "platform",
    "product",
    "project",
    "raw",
    "ref",
    "refname",
    "rel",
    "release",
    "repo",
    "repository",
    "rev",
    "revision",
    "suite",
    "tag",
    "type",
    "url",
];
/// More of them: versions.
const VERSIONS: [&str; 4] = ["v", "ver", "version", "versionid"];
/// Names of parts that are credentials or signatures, without separators and in lower case.
const NAMES: [&str; 28] = [
    "accessid",
    "accesskeyid",
    "apisign",
    "assertion",
    "authz",
    "awsaccesskeyid",
    "bearer",
    "gda",
    "googleaccessid",
    "hdnea",
    "hdntl",
    "hdnts",
    "hmac",
    "jwt",
    "keypairid",
    "ossaccesskeyid",
    "otp",
    "pass",
    "passphrase",
    "passwd",
    "pw",
    "pwd",
    "sas",
    "session",
    "sessid",
    "sid",
    "sign",
    "ticket",
];
/// Ends of the names of such parts.
const ENDINGS: [&str; 3] = ["auth", "key", "sig"];
/// Texts that the name of such a part contains.
const PARTS: [&str; 9] = [
    "authorization",
    "credential",
    "jsession",
    "passwo",
    "phpsess",
    "secret",
    "sessionid",
    "signature",
    "token",
];
/// Beginnings of the names of such parts, of object stores.
const PREFIXES: [&str; 9] =
    ["x-amz-", "x-goog-", "x-oss-", "x-cos-", "x-obs-", "x-bce-", "x-ms-", "q-", "oauth_"];
/// The parts beside the signature of a shared access signature (Azure), which describe it.
const SHARED_ACCESS: [&str; 21] = [
    "sv", "se", "sp", "st", "sr", "ss", "srt", "spr", "sip", "si", "saoid", "suoid", "scid",
    "skoid", "sktid", "skt", "ske", "sks", "skv", "sdd", "ses",
];
/// Parts that belong to a credential or a signature beside them: its end, its user, its digest.
const AMBIENT: [&str; 25] = [
    "e",
    "email",
    "exp",
    "expire",
    "expires",
    "expiry",
    "hash",
    "login",
    "md5",
    "nonce",
    "pin",
    "policy",
    "signed",
    "st",
    "t",
    "time",
    "timestamp",
    "ts",
    "ttl",
    "until",
    "user",
    "userid",
    "username",
    "valid",
    "verify",
];
/// Of those, digests of a URL whose end is `e`.
const DIGESTS: [&str; 3] = ["hash", "md5", "st"];
/// Of those, the ones that end a signed URL even if its signature goes by another name.
const ENDS: [&str; 4] = ["expire", "expires", "expiry", "exp"];

/// Longest name of a part in its description, in bytes.
const LONGEST: usize = 64;
/// URLs in URLs that are looked into. Deeper ones are not published.
const DEEPEST: u8 = 3;

/// What a text is for, which decides on the queries in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// To be signed: parts that are known to name something.
    Signed,
    /// The qualifiers of a package URL, whose names have a meaning of their own. URLs in their
    /// values are to be signed.
    Name,
    /// To be shown: parts that do not look like a secret.
    Shown,
    /// As the user wants it.
    Whole,
}

/// A query as it may be published, and a description of each part that may not.
/// `depth`: the number of URLs around it.
pub(super) fn published(query: &str, rule: Rule, depth: u8) -> (String, Vec<String>) {
    let parts: Vec<Part<'_>> = query.split_inclusive(['&', ';']).map(Part::of).collect();
    let names: BTreeSet<&str> = parts.iter().map(|part| part.plain.as_str()).collect();
    let shared = ["sv", "se", "sp", "sr"].iter().filter(|name| names.contains(*name)).count();
    let context = Context {
        shared: shared > 1 || (shared > 0 && names.contains("sig")),
        signed: parts.iter().any(Part::is_secret_by_name)
            || names.contains("e") && DIGESTS.iter().any(|name| names.contains(name)),
    };
    let (mut kept, mut withheld) = (String::new(), Vec::new());
    for part in parts {
        if part.is_secret(&context, rule, depth) {
            withheld.push(part.described());
        } else {
            kept += part.raw;
            kept += part.end;
        }
    }
    if !query.ends_with(['&', ';']) {
        kept.truncate(kept.trim_end_matches(['&', ';']).len());
    }
    (kept, withheld)
}

/// Text with its percent-encoded bytes decoded, as far as it is UTF-8.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let mut byte = [0];
        match tail.get(..2) {
            Some(digits) if first == b'%' && hex::decode_to_slice(digits, &mut byte).is_ok() => {
                bytes.push(byte[0]);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The parts around a part.
struct Context {
    /// They are a shared access signature.
    shared: bool,
    /// One of them is a credential or a signature.
    signed: bool,
}

/// A part of a query, `name=value` or a value alone.
struct Part<'a> {
    raw: &'a str,
    /// The separator after it.
    end: &'a str,
    /// In lower case.
    name: String,
    /// The name without separators.
    plain: String,
    value: String,
}

impl<'a> Part<'a> {
    fn of(piece: &'a str) -> Self {
        let (raw, end) = piece.split_at(piece.trim_end_matches(['&', ';']).len());
        // A part without a name is a value.
        let (name, value) = raw.split_once('=').unwrap_or((raw, raw));
        let name = decoded(name).to_lowercase();
        let plain = name.chars().filter(|c| c.is_alphanumeric()).collect();
        Self { raw, end, name, plain, value: decoded(value) }
    }

    fn is_secret_by_name(&self) -> bool {
        self.raw.contains('=')
            && (self.is_one_of(&NAMES)
                || self.is_one_of(&ENDS)
                || ENDINGS.iter().any(|ending| self.plain.ends_with(ending))
                || PARTS.iter().any(|part| self.plain.contains(part))
                || PREFIXES.iter().any(|prefix| self.name.starts_with(prefix)))
    }

    fn is_secret(&self, around: &Context, rule: Rule, depth: u8) -> bool {
        rule == Rule::Signed && !self.is_naming()
            || self.is_secret_by_name()
            || around.shared && self.is_one_of(&SHARED_ACCESS)
            || around.signed && self.is_one_of(&AMBIENT)
            || is_secret_value(&self.value, rule, depth)
    }

    fn is_naming(&self) -> bool {
        self.raw.is_empty() || self.is_one_of(&NAMING) || self.is_one_of(&VERSIONS)
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.contains(&self.plain.as_str())
    }

    /// The part without its value.
    fn described(&self) -> String {
        let name = self.raw.split_once('=').map_or("", |(name, _)| name);
        if name.is_empty() || name.len() > LONGEST || is_token(name) {
            "a part of the query".to_owned()
        } else {
            format!("`{name}` in the query")
        }
    }
}

/// Whether a value is a secret by its looks, or a URL with one.
fn is_secret_value(value: &str, rule: Rule, depth: u8) -> bool {
    let rule = if rule == Rule::Shown { Rule::Shown } else { Rule::Signed };
    let decoded = decoded(value);
    if is_token(value) || is_random(value) {
        return true;
    }
    if depth >= DEEPEST {
        return value.contains("://") || value.contains('?') || decoded != value;
    }
    let is_whole = |text: &str| Origin::written(text, rule, depth + 1).is_whole();
    let has_secret = |query: &str| !published(query, rule, depth + 1).1.is_empty();
    value.contains("://") && !is_whole(value)
        || value.split_once('?').is_some_and(|(_, query)| has_secret(query))
        || decoded != value && is_secret_value(&decoded, rule, depth + 1)
}
