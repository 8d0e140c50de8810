//! Sentences of the specifications that justify the node's response where the reference's differs:
//! the OCI distribution specification 1.1.1 and HTTP semantics, RFC 9110.

use std::fmt;

/// A sentence, verbatim, and its section.
pub(crate) struct Sentence {
    place: &'static str,
    text: &'static str,
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: “{}”", self.place, self.text)
    }
}

macro_rules! sentences {
    ($($name:ident: $place:literal, $text:literal;)*) => {
        $(pub(crate) static $name: Sentence = Sentence { place: $place, text: $text };)*
    };
}

sentences! {
    ANY_BODY: "OCI, Error Codes",
        "A `4XX` response code from the registry MAY return a body in any format.";
    BASE: "OCI, Determining Support",
        "This endpoint MAY be used for authentication/authorization purposes, but this is out of \
        the purview of this specification.";
    BLOB: "OCI, Definitions",
        "the binary form of content that is stored by a registry, addressable by a digest";
    BLOB_DELETION: "OCI, Deleting Blobs",
        "If blob deletion is disabled, the registry MUST respond with either a `400 Bad Request` \
        or a `405 Method Not Allowed`.";
    CROSS: "OCI, Mounting a blob from another repository",
        "The registry MAY treat the `from` parameter as optional, and it MAY cross-mount the blob \
        if it can be found.";
    DELETED_TAG: "OCI, Deleting tags",
        "Once deleted, a `GET` to `/v2/<name>/manifests/<tag>` will return a 404.";
    MANIFEST: "OCI, Pulling manifests",
        "A GET request to an existing manifest URL MUST provide the expected manifest, with a \
        response code that MUST be `200 OK`.";
    MANIFEST_HEAD: "OCI, Checking if content exists in the registry",
        "A HEAD request to an existing blob or manifest URL MUST return `200 OK`.";
    MANIFEST_INVALID: "OCI, Error Codes",
        "| code-6  | `MANIFEST_INVALID`      | \
        manifest invalid                                           |";
    MISSING_BLOB: "OCI, Endpoints",
        "| end-7   | `PUT`          | `/v2/<name>/manifests/<reference>`                           \
        \x20 | `201`       | `404`/`413`       |";
    MISSING_TO_DELETE: "OCI, Endpoints",
        "| end-9   | `DELETE`       | `/v2/<name>/manifests/<reference>`                           \
        \x20 | `202`       | `404`/`400`/`405` |";
    N: "OCI, Listing Tags",
        "Without the `last` query parameter (described next), the list returned will start at the \
        beginning of the list and include `<int>` results.";
    N_ZERO: "OCI, Listing Tags",
        "When `n` is zero, this endpoint MUST return an empty list, and MUST NOT include a `Link` \
        header.";
    LAST: "OCI, Listing Tags",
        "A request of this sort will return up to `<int>` tags, beginning non-inclusively with \
        `<tagname>`.";
    NAME: "OCI, Error Codes",
        "| code-8  | `NAME_INVALID`          | \
        invalid repository name                                    |";
    NAME_UNKNOWN: "OCI, Error Codes",
        "| code-9  | `NAME_UNKNOWN`          | \
        repository name not known to registry                      |";
    NOT_FOUND: "OCI, Pulling manifests",
        "If the manifest is not found in the repository, the response code MUST be `404 Not \
        Found`.";
    ORDER: "OCI, Listing Tags",
        "If the list is not empty, the tags MUST be in lexical order (i.e. case-insensitive \
        alphanumeric order).";
    OUT_OF_ORDER: "OCI, Pushing a blob in chunks",
        "If a chunk is uploaded out of order, the registry MUST respond with a `416 Requested \
        Range Not Satisfiable` code.";
    REFERENCE: "OCI, Pushing Manifests",
        "`<name>` is the namespace of the repository, and the `<reference>` MUST be either a) a \
        digest or b) a tag.";
    REFERRERS: "OCI, Listing Referrers",
        "If the registry supports the referrers API, the registry MUST NOT return a `404 Not \
        Found` to a referrers API requests.";
    REFERRERS_INVALID: "OCI, Listing Referrers",
        "If the request is invalid, such as a `<digest>` with an invalid syntax, a `400 Bad \
        Request` MUST be returned.";
    SINGLE_POST: "OCI, Single POST",
        "Successful completion of the request MUST return a `201 Created` and MUST include the \
        following header:";
    SINGLE_POST_DIGEST: "OCI, Single POST",
        "Likewise, the `<digest>` MUST match the blob's digest.";
    SUBJECT: "OCI, Pushing Manifests with Subject",
        "When processing a request for an image manifest with the `subject` field, a registry \
        implementation that supports the [referrers API](#listing-referrers) MUST respond with the \
        response header `OCI-Subject: <subject digest>` to indicate to the client that the \
        registry processed the request's `subject`.";
    TAG_DELETION: "OCI, Deleting tags",
        "Upon success, the registry MUST respond with a `202 Accepted` code.";
    TOO_LARGE: "OCI, Pushing Manifests",
        "A registry that enforces this limit SHOULD respond to a request to push a manifest over \
        this limit with a response code `413 Payload Too Large`.";
    TYPE: "OCI, Pushing Manifests",
        "Clients SHOULD set the `Content-Type` header to the type of the manifest being pushed.";
    UPLOAD_UNKNOWN: "OCI, Error Codes",
        "| code-3  | `BLOB_UPLOAD_UNKNOWN`   | \
        blob upload unknown to registry                            |";
    BAD_REQUEST: "RFC 9110, 15.5.1",
        "The 400 (Bad Request) status code indicates that the server cannot or will not process \
        the request due to something that is perceived to be a client error (e.g., malformed \
        request syntax, invalid request message framing, or deceptive request routing).";
    CHALLENGE: "RFC 9110, 15.5.2",
        "The 401 (Unauthorized) status code indicates that the request has not been applied \
        because it lacks valid authentication credentials for the target resource.";
    ENTITY_TAG: "RFC 9110, 8.8.3",
        "An entity tag consists of an opaque quoted string, possibly prefixed by a weakness \
        indicator.";
    HEAD: "RFC 9110, 9.1",
        "All general-purpose servers MUST support the methods GET and HEAD.";
    IF_MATCH: "RFC 9110, 13.1.1",
        "An origin server that evaluates an If-Match condition MUST NOT perform the requested \
        method if the condition evaluates to false.";
    LISTED_TAGS: "RFC 9110, 13.1.2",
        "If the field value is a list of entity tags, the condition is false if one of the listed \
        tags matches the entity tag of the selected representation.";
    METHOD: "RFC 9110, 15.5.6",
        "The 405 (Method Not Allowed) status code indicates that the method received in the \
        request-line is known by the origin server but not supported by the target resource.";
    NOT_MODIFIED: "RFC 9110, 15.4.5",
        "The server generating a 304 response MUST generate any of the following header fields \
        that would have been sent in a 200 (OK) response to the same request: Content-Location, \
        Date, ETag, and Vary";
    RANGE_OF_GET: "RFC 9110, 14.2",
        "For this specification, GET is the only method for which range handling is defined.";
    RANGE_IGNORED: "RFC 9110, 14.2",
        "A server MAY ignore the Range header field.";
    RANGE_INVALID: "RFC 9110, 14.2",
        "A server that supports range requests MAY ignore or reject a Range header field that \
        contains an invalid ranges-specifier (Section 14.1.1), a ranges-specifier with more than \
        two overlapping ranges, or a set of many small ranges that are not listed in ascending \
        order, since these are indications of either a broken client or a deliberate \
        denial-of-service attack (Section 17.15).";
    RANGE_UNIT: "RFC 9110, 14.2",
        "An origin server MUST ignore a Range header field that contains a range unit it does not \
        understand.";
    STAR: "RFC 9110, 13.1.2",
        "If the field value is \"*\", the condition is false if the origin server has a current \
        representation for the target resource.";
    SUFFIX: "RFC 9110, 14.1.2",
        "a suffix-range with a non-zero suffix-length";
    WEAK: "RFC 9110, 13.1.2",
        "A recipient MUST use the weak comparison function when comparing entity tags for \
        If-None-Match (Section 8.8.3.2), since weak entity tags can be used for cache validation \
        even if there have been changes to the representation data.";
}
