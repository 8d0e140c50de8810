//! Compares two responses by the parts that have to be equal.
//!
//! Responses are compared by what clients read: the status, [`HEADERS`] and the body. Parts that
//! necessarily differ are normalised first: the registry's own address, upload ids, and digests of
//! the test's content, which are replaced by names. Errors are compared by code, because their
//! messages are for people.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::ask::{Ask, Target};
use crate::client::{Answer, Client};
use crate::content::sha256;
use crate::processes::TOKEN;
use crate::table::{Row, table};

/// The headers that are compared.
const HEADERS: [&str; 16] = [
    "Content-Type",
    "Content-Length",
    "Docker-Content-Digest",
    "ETag",
    "Location",
    "Content-Range",
    "Range",
    "Docker-Upload-UUID",
    "Link",
    "WWW-Authenticate",
    "OCI-Subject",
    "OCI-Filters-Applied",
    "Accept-Ranges",
    "Allow",
    "Cache-Control",
    "Docker-Distribution-Api-Version",
];

/// Both registries and the requests made to them.
pub(crate) struct Bench<'a> {
    pub(crate) client: &'a Client,
    /// The node, then the reference.
    hosts: [&'a str; 2],
    uploads: [String; 2],
    /// The names of known digests.
    names: BTreeMap<String, String>,
    rows: Vec<Row>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(client: &'a Client, ours: &'a str, theirs: &'a str) -> Self {
        let names = BTreeMap::new();
        Self { client, hosts: [ours, theirs], uploads: Default::default(), names, rows: Vec::new() }
    }

    /// Registers a name for content, for the table.
    pub(crate) fn name(&mut self, name: &str, bytes: &[u8]) {
        self.names.insert(sha256(bytes), format!("<{name}>"));
    }

    /// Sends a request to both registries and compares the responses.
    pub(crate) fn ask(&mut self, ask: Ask) -> &mut Row {
        let ours = self.send(0, &ask);
        let theirs = self.send(1, &ask);
        let title = self.named(&ask.title());
        let (ours, theirs) = (self.fields(0, &ask, &ours), self.fields(1, &ask, &theirs));
        let pairs = ours.into_iter().zip(theirs);
        let differ = pairs.filter(|((_, ours), (_, theirs))| ours != theirs);
        let found = differ.map(|((field, ours), (_, theirs))| (field, ours, theirs)).collect();
        self.rows.push(Row::new(title, found));
        self.rows.last_mut().expect("the row just added")
    }

    fn send(&mut self, side: usize, ask: &Ask) -> Answer {
        let host = self.hosts[side];
        let path = match &ask.target {
            Target::Path(path) => path.clone(),
            Target::Upload(query) => {
                let place = &self.uploads[side];
                match (query.is_empty(), place.contains('?')) {
                    (true, _) => place.clone(),
                    (false, true) => format!("{place}&{query}"),
                    (false, false) => format!("{place}?{query}"),
                }
            }
        };
        let bearer = format!("Bearer {TOKEN}");
        let mut headers: Vec<(&str, &str)> =
            ask.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !ask.anonymous {
            headers.push(("authorization", &bearer));
        }
        let answer = self.client.send(host, &ask.method, &path, &headers, ask.body.clone());
        let answer = answer.unwrap_or_else(|why| panic!("{host}: {}: {why}", ask.title()));
        let location = answer.header("location");
        if location.contains("/blobs/uploads/") {
            self.uploads[side] = without_host(&location, host);
        }
        answer
    }

    /// The compared parts of a response, normalised.
    fn fields(&self, side: usize, ask: &Ask, answer: &Answer) -> Vec<(&'static str, String)> {
        let failed = answer.status.is_client_error() || answer.status.is_server_error();
        let mut fields = vec![("status", answer.status.as_u16().to_string())];
        for name in HEADERS {
            let value = answer.header(name);
            let value = match name {
                "Location" => upload_by_name(&without_host(&value, self.hosts[side])),
                "WWW-Authenticate" => value.replace(self.hosts[side], "<host>"),
                "Docker-Upload-UUID" if !value.is_empty() => "<id>".to_owned(),
                "Content-Type" => without_boundary(value),
                // The length of a human-readable message.
                "Content-Length" if failed => String::new(),
                "Allow" => sorted(&value),
                _ => value,
            };
            fields.push((name, self.named(&value)));
        }
        let (body, order) = in_order(self.body(ask, answer));
        fields.extend([("body", body), ("order of tags", order.to_owned())]);
        fields
    }

    fn body(&self, ask: &Ask, answer: &Answer) -> String {
        let Some(bytes) = answer.body.as_deref() else { return "cut off".into() };
        if ask.method == Method::HEAD || answer.status == StatusCode::NOT_MODIFIED {
            assert!(bytes.is_empty(), "{}: a body where none may be", ask.title());
        }
        if let Some(name) = self.names.get(&sha256(bytes)) {
            return name.clone();
        }
        if let Some(codes) = error_codes(bytes) {
            return codes;
        }
        if answer.header("content-type").starts_with("multipart/") {
            return format!("multipart, {} bytes", bytes.len());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= 1000 => self.named(text),
            _ => format!("{} bytes, {}", bytes.len(), sha256(bytes)),
        }
    }

    /// A text in which known digests are replaced by their names.
    fn named(&self, text: &str) -> String {
        let replace =
            |text: String, (digest, name): (&String, &String)| text.replace(digest.as_str(), name);
        self.names.iter().fold(text.to_owned(), replace)
    }

    /// The table, and the unexpected differences.
    pub(crate) fn finish(self) -> (String, Vec<String>) {
        table(&self.rows)
    }
}

fn without_host(location: &str, host: &str) -> String {
    location.strip_prefix(&format!("http://{host}")).unwrap_or(location).to_owned()
}

/// An upload's location without its id and without the registry's own parameters.
fn upload_by_name(location: &str) -> String {
    match location.split_once("/blobs/uploads/") {
        Some((above, id)) if !id.is_empty() => format!("{above}/blobs/uploads/<id>"),
        _ => location.to_owned(),
    }
}

/// The boundary between parts is random in each response.
fn without_boundary(kind: String) -> String {
    kind.split_once("boundary=")
        .map(|(kind, _)| format!("{kind}boundary=<boundary>"))
        .unwrap_or(kind)
}

/// A list of tags in lexical order, and whether it arrived in that order. The reference uses the
/// order of its disk.
fn in_order(body: String) -> (String, &'static str) {
    let Some((above, tags)) = body.split_once("\"tags\":[") else { return (body, "") };
    let Some((tags, below)) = tags.split_once(']') else { return (body, "") };
    let sorted = sorted(tags).replace(", ", ",");
    let order = if sorted == tags { "lexical" } else { "another" };
    (format!("{above}\"tags\":[{sorted}]{below}"), order)
}

fn sorted(list: &str) -> String {
    let mut items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.sort_unstable();
    items.join(", ")
}

/// The codes of an error in the format of the specification.
fn error_codes(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let codes = value.get("errors")?.as_array()?.iter().map(|error| error["code"].as_str());
    Some(format!("errors {}", codes.collect::<Option<Vec<_>>>()?.join(", ")))
}
