//! Entries that are signed well and say what may not be said.

use ipld_core::ipld::Ipld;
use perennial_manifest::BlobId;

use super::{BEFORE, cbor, genesis, one, profile, refuse};
use crate::vectors::Refused;
use crate::vectors::forge::{map, payload, sealed, text, with, without};

pub(super) fn places(all: &mut Vec<Refused>) {
    let mut refuse_place = |name: &str, seq: u64, prevs: &[[u8; 32]], kind: &str, body: Ipld| {
        let bytes = sealed(&cbor(&payload(&one(), seq, prevs, kind, body)), &[&one()]);
        refuse(all, name, &bytes, &format!("entry: seq {seq} with {} predecessors", prevs.len()));
    };
    refuse_place("a first entry with a predecessor", 0, &[BEFORE], "profile", profile());
    refuse_place("a later entry without one", 1, &[], "profile", profile());
    refuse_place(
        "five predecessors",
        1,
        &[[1; 32], [2; 32], [3; 32], [4; 32], [5; 32]],
        "profile",
        profile(),
    );
    refuse_place("predecessors out of order", 1, &[[2; 32], [1; 32]], "profile", profile());
    refuse_place("a predecessor twice", 1, &[BEFORE, BEFORE], "profile", profile());
    refuse_place("seq 2^63", 1 << 63, &[BEFORE], "profile", profile());
    refuse_place("a merge of one branch", 1, &[BEFORE], "merge", map([]));
}

pub(super) fn fields(all: &mut Vec<Refused>) {
    let mut refuse_body = |name: &str, kind: &str, body: Ipld, error: &str| {
        refuse(
            all,
            name,
            &sealed(&cbor(&payload(&one(), 1, &[BEFORE], kind, body)), &[&one()]),
            error,
        );
    };
    let decode = "body: not valid deterministic CBOR";
    let spelled = "body: not the one encoding";
    refuse_body(
        "an unknown critical field of a body",
        "profile",
        with(&profile(), "!expires", Ipld::Integer(1)),
        "critical field \"!expires\"",
    );
    let source = map([("vcs", text("https://x.example")), ("!mirror", text("no"))]);
    refuse_body(
        "an unknown critical field inside a field",
        "release",
        with(&release(), "source", source),
        "critical field \"!mirror\"",
    );
    refuse_body(
        "an unknown critical field of an unknown kind",
        "x-new",
        map([("!must", Ipld::Integer(1))]),
        "critical field \"!must\"",
    );
    refuse_body("a kind without a name", "", map([]), "field `kind`");
    refuse_body("a profile without a name", "profile", without(&profile(), "name"), decode);
    refuse_body("a name of nothing", "profile", with(&profile(), "name", text("")), "field `name`");
    refuse_body(
        "a name with an escape sequence",
        "profile",
        with(&profile(), "name", text("a\u{1b}[2J")),
        "field `name`",
    );
    refuse_body(
        "a name of 2,049 bytes",
        "profile",
        with(&profile(), "name", text(&"a".repeat(2049))),
        "field `name`",
    );
    refuse_body(
        "a kind of publisher that does not exist",
        "profile",
        with(&profile(), "publisher_kind", text("owner")),
        decode,
    );
    refuse_body(
        "65 claims",
        "profile",
        with(&profile(), "claims", Ipld::List(vec![text("a"); 65])),
        "field `claims`",
    );
    refuse_body(
        "null for an absent field",
        "profile",
        with(&profile(), "contact", Ipld::Null),
        spelled,
    );
    refuse_body(
        "an empty list for an absent field",
        "profile",
        with(&profile(), "claims", Ipld::List(Vec::new())),
        spelled,
    );
    refuse_body(
        "an empty map for an absent field",
        "release",
        with(&release(), "tags", map([])),
        spelled,
    );
    refuse_body("a body that is no map", "profile", Ipld::List(Vec::new()), decode);
    refuse_body(
        "a release without a version",
        "release",
        with(&release(), "purl", text("pkg:generic/kubekey")),
        "has no version",
    );
    refuse_body(
        "a package URL that is not canonical",
        "release",
        with(&release(), "purl", text("pkg:Generic/kubekey@v3.1.0")),
        "its canonical form is pkg:generic/kubekey@v3.1.0",
    );
    refuse_body(
        "a licence that is none",
        "release",
        with(&release(), "license", text("Apache 2")),
        "not an SPDX expression",
    );
    refuse_body(
        "a release of nothing",
        "release",
        with(&release(), "artifacts", claim(0, 188)),
        "it is empty",
    );
    refuse_body(
        "100,001 artifacts",
        "release",
        with(&release(), "artifacts", claim(100_001, 188)),
        "the number of artifacts 100001 is more than 100000",
    );
    refuse_body(
        "a list over 64 MiB",
        "release",
        with(&release(), "artifacts", claim(1, (64 << 20) + 1)),
        "the length 67108865 is more than 67108864",
    );
    refuse_body(
        "a list digest of 31 bytes",
        "release",
        with(&release(), "artifacts", with(&claim(1, 188), "blob", Ipld::Bytes(vec![0; 31]))),
        decode,
    );
    refuse_body(
        "a digest as text",
        "release",
        with(
            &release(),
            "artifacts",
            with(&claim(1, 188), "blob", text(&BlobId::of(b"").to_string())),
        ),
        decode,
    );
    let tags = (0..65).map(|n| (format!("t{n}"), text("d"))).collect();
    refuse_body("65 tags", "release", with(&release(), "tags", Ipld::Map(tags)), "field `tags`");
    refuse_body(
        "a target of two things",
        "status",
        map([
            (
                "target",
                map([("blob", Ipld::Bytes(vec![0; 32])), ("release", Ipld::Bytes(vec![0; 32]))]),
            ),
            ("status", text("yanked")),
            ("text", text("x")),
        ]),
        decode,
    );
    refuse_body(
        "HTTP status 65,536",
        "observation",
        map([
            ("url", text("u")),
            ("fetched_at", Ipld::Integer(1)),
            ("status", Ipld::Integer(65_536)),
            ("verdict", text("same")),
        ]),
        decode,
    );
    let deep = (0..31).fold(Ipld::Null, |inside, _| Ipld::List(vec![inside]));
    refuse_body(
        "33 maps and lists inside each other",
        "x-new",
        map([("x", deep)]),
        "more than 32 maps and lists",
    );
    let critical = with(&genesis(), "!seal", Ipld::Integer(1));
    refuse(
        all,
        "an unknown critical field of an entry",
        &sealed(&cbor(&critical), &[&one()]),
        "critical field \"!seal\"",
    );
    refuse(
        all,
        "an entry without a time",
        &sealed(&cbor(&without(&genesis(), "issued_at")), &[&one()]),
        "entry: not valid deterministic CBOR",
    );
}

fn release() -> Ipld {
    map([
        ("purl", text("pkg:generic/kubekey@v3.1.0")),
        ("license", text("Apache-2.0")),
        ("artifacts", claim(1, 188)),
    ])
}

fn claim(count: u64, size: u64) -> Ipld {
    map([
        ("blob", Ipld::Bytes(vec![0xaa; 32])),
        ("count", Ipld::Integer(count.into())),
        ("bytes", Ipld::Integer(5)),
        ("size", Ipld::Integer(size.into())),
    ])
}
