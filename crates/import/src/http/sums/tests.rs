//! Checksum files in the forms that tools write them.

use perennial_manifest::Sha256Digest;

use super::*;

#[test]
fn every_common_checksum_format_is_read() {
    let (a, b) = ("ab".repeat(32), "cd".repeat(64));
    let text = format!(
        "# comment\n{a}  x.tgz\n{a} *dir/y.tgz\n\\{a}  z\nSHA512 (w (1).tgz) = {b}\r\n\
        {}  md5.tgz\n",
        "00".repeat(16)
    );
    let sums = Sums::parse(text.as_bytes());
    for name in ["x.tgz", "y.tgz", "z"] {
        assert_eq!(sums.of(name), [Sum::parse(&a).unwrap()], "{name}");
    }
    assert_eq!(sums.of("w (1).tgz"), [Sum::parse(&b).unwrap()]);
    assert!(sums.of("md5.tgz").is_empty() && sums.of_its_own("other").is_empty());
    let alone = Sums::parse(a.to_uppercase().as_bytes());
    assert_eq!(alone.of_its_own("any"), [Sum::parse(&a).unwrap()]);
    assert!(alone.of("any").is_empty());
    let base64 = BASE64_STANDARD.encode(hex::decode(&a).unwrap());
    assert_eq!(
        Sums::parse(format!("{base64}  x.tgz").as_bytes()).of("x.tgz"),
        [Sum::parse(&a).unwrap()]
    );
    assert_eq!(Sums::parse(b"Not Found"), Sums::default());
}

#[test]
fn forms_of_other_tools_are_read() {
    let (a, b) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(8));
    let groups = |digest: &str, at: &dyn Fn(usize) -> &'static str| -> String {
        let words = digest.as_bytes().chunks(8).map(|word| String::from_utf8_lossy(word));
        words.enumerate().map(|(n, word)| format!("{}{word}", at(n)).to_uppercase()).collect()
    };
    let broken = groups(&b, &|n| if n % 6 == 0 && n > 0 { "\n          " } else { " " });
    let halves = groups(&b, &|n| if n == 8 { "\n   " } else { " " });
    let alone = groups(&b, &|n| if n == 0 { "\n" } else { " " });
    let pairs: Vec<_> = a.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect();
    let sri = BASE64_STANDARD.encode(hex::decode(&b).unwrap());
    for (text, digest) in [
        (format!("SHA256(x.tgz)= {a}\n"), &a),
        (format!("SHA2-256(x.tgz)= {a}"), &a),
        (format!("SHA2-512(./dir/x.tgz) = {}", b.to_uppercase()), &b),
        (format!("SHA256(x.tgz)= {}", pairs.join(":")), &a),
        (format!("x.tgz:{broken}\n"), &b),
        (format!("x.tgz:{halves}\n"), &b),
        (format!("x.tgz:{alone}\n"), &b),
        (format!("x.tgz:    MD5 = 00 11\nx.tgz: SHA256 ={}\n", groups(&a, &|_| " ")), &a),
        (format!("x.tgz: {b}"), &b),
        (format!("x.tgz = {a}"), &a),
        (format!("x.tgz  sha256:{a}"), &a),
        (format!("sha256:{a}  x.tgz"), &a),
        (format!("SHA256: {a} *x.tgz"), &a),
        (format!("sha512-{sri} x.tgz"), &b),
        (format!("SHA256 {} C:\\build\\x.tgz", a.to_uppercase()), &a),
        (format!("SHA256 hash of x.tgz:\r\n{}\r\nCertUtil: done\r\n", pairs.join(" ")), &a),
        (format!("SHA256 hash of file x.tgz:\n{a}\n"), &a),
        (format!("{{\"x.tgz\": \"{a}\"}}"), &a),
        (format!("| [x.tgz](https://a.test/x.tgz) | `{a}` |"), &a),
        (format!("{a},x.tgz\n"), &a),
        (format!("\u{feff}{a}  x.tgz\n"), &a),
    ] {
        let sums = Sums::parse(text.as_bytes());
        assert_eq!(sums.of("x.tgz"), [Sum::parse(digest).unwrap()], "{text}");
        assert!(sums.of("tgz").is_empty() && sums.of("x.tgz.sig").is_empty(), "{text}");
        let wide: Vec<u8> =
            format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Sums::parse(&wide), sums, "{text}");
        assert_eq!(Sums::parse(&wide[2..]), sums, "without a mark: {text}");
        for bytes in [u32::to_le_bytes, u32::to_be_bytes] {
            let wider: Vec<u8> =
                format!("\u{feff}{text}").chars().map(u32::from).flat_map(bytes).collect();
            assert_eq!(Sums::parse(&wider), sums, "{text}");
            assert_eq!(Sums::parse(&wider[4..]), sums, "without a mark: {text}");
        }
    }
    let list = format!("Algorithm : SHA256\nHash      : {a}\nPath      : C:\\x.tgz\n");
    assert_eq!(Sums::parse(list.as_bytes()).of_its_own("x.tgz"), [Sum::parse(&a).unwrap()]);
    let both = format!("sha256: {a}\nsha512: {b}\n");
    assert_eq!(Sums::parse(both.as_bytes()).of_its_own("x.tgz").len(), 2);
}

#[test]
fn other_algorithms_are_not_taken_for_sha_2_and_are_not_silent() {
    let a = "ab".repeat(32);
    for text in [
        format!("SHA3-256(x.tgz)= {a}"),
        format!("BLAKE2b-256 (x.tgz) = {a}"),
        format!("x.tgz: SHA512/256 = {a}"),
        format!("blake3:{a}  x.tgz"),
        format!("{{\"x.tgz\": {{\"blake3\": \"{a}\"}}}}"),
        format!("SHA384 (x.tgz) = {}", "ab".repeat(48)),
    ] {
        let sums = Sums::parse(text.as_bytes());
        assert!(!sums.is_understood() && sums.has_digests(), "{text}");
    }
    let two = format!("{a}  y.tgz\n{a}  z.tgz\n");
    assert!(Sums::parse(two.as_bytes()).of_its_own("x.tgz").is_empty());
    assert!(!Sums::parse(b"Not Found, request 0123456789abcdef0123456789abcdef").has_digests());
}

#[test]
fn an_unknown_form_is_told_from_the_news_that_there_is_no_file() {
    let names = ["x.tgz".to_owned()];
    let digits = "0123456789abcdef".repeat(4);
    for odd in [
        String::new(),
        "\r\n".into(),
        digits[..63].into(),
        format!("{}  x.tgz", &digits[..40]),
        format!("{}  x.tgz", &digits[..32]),
        format!("MD5 (x.tgz) = {}", &digits[..32]),
        "xx\0y".into(),
    ] {
        assert!(is_attempt(odd.as_bytes(), &names), "{odd}");
    }
    assert!(is_attempt(&[0x9c; 32], &names) && is_attempt(&[0x1f, 0x8b, 8, 0], &names));
    for news in [
        "Not Found".to_owned(),
        "404 page not found\n".into(),
        format!("Not Found, request {}", &digits[..32]),
        format!("no such key: x.tgz.sha256, id {}", &digits[..32]),
        r#"{"error": "nicht gefunden, für Sie"}"#.into(),
    ] {
        assert!(!is_attempt(news.as_bytes(), &names), "{news}");
    }
}

#[test]
fn a_digest_that_is_not_whole_is_reported_with_its_line() {
    let (a, b) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(8));
    let (short, letter) = (&a[1..], a.replacen('f', "O", 1));
    let names = ["x.tgz".to_owned()];
    for (line, fault) in [
        (format!("{short}  x.tgz"), "has 63 digits, where a SHA-256 has 64"),
        (format!("{a}0 *./dir/x.tgz"), "has 65 digits, where a SHA-256 has 64"),
        (format!("SHA512 (x.tgz) = {}", &b[2..]), "has 126 digits, where a SHA-512 has 128"),
        (format!("{letter}  x.tgz\r"), "has a SHA-256 with a letter in it that is no digit"),
    ] {
        let text = format!("{a}  y.tgz\n{line}\n");
        let sums = Sums::parse(text.as_bytes());
        assert_eq!(sums.fault_of(&names), Some(format!("line 2 {fault}")), "{line}");
        assert_eq!(sums.fault_of(&["y.tgz".to_owned()]), None);
        let alone = Sums::parse(line.as_bytes());
        assert_eq!(alone.why_not(), format!("line 1 {fault}"), "{line}");
    }
    for fine in [
        format!("{a}  x.tgz\n{b}  x.tgz\n"),
        format!("BLAKE2b (x.tgz) = {}", &b[1..]),
        format!("{}  x.tgz\n", &a[..40]),
    ] {
        assert_eq!(Sums::parse(fine.as_bytes()).fault_of(&names), None, "{fine}");
    }
}

#[test]
fn a_file_must_match_one_listed_digest_of_each_kind() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"abc").unwrap();
    let right = Sum::Sha256(*Sha256Digest::of(b"abc").as_bytes());
    let longer = Sum::Sha512(Sha512::digest(b"abc").into());
    let (wrong, wrong_longer) = (Sum::Sha256([0; 32]), Sum::Sha512([0; 64]));
    let differs = |said: &[&Sum]| {
        let said: Vec<_> = said.iter().copied().cloned().collect();
        check(file.path(), &said).unwrap().is_some()
    };
    assert!(!differs(&[&right, &longer]) && !differs(&[&wrong, &right]) && !differs(&[]));
    assert!(differs(&[&wrong, &longer]) && differs(&[&right, &wrong_longer]) && differs(&[&wrong]));
}
