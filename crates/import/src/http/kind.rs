//! The kinds of file found beside a release file, recognised by content: servers also answer 200
//! for files that they do not have.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::sums::Sums;

/// Shortest signature accepted as bare Base64, in decoded bytes: Ed25519's has 64.
const SHORTEST: usize = 64;
/// Armour labels that announce a signature.
const ARMOURED: [&str; 6] =
    ["PGP SIGNATURE", "PGP SIGNED MESSAGE", "PGP MESSAGE", "SSH SIGNATURE", "PKCS7", "CMS"];
/// Top-level fields of a Sigstore bundle; `base64Signature` is from cosign's original format.
const OF_BUNDLE: [&str; 3] = ["mediaType", "verificationMaterial", "base64Signature"];

/// The kind of a file beside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A checksum file, with one entry per line.
    Sums,
    /// A PGP, SSH, signify or cosign signature.
    Signature,
    /// A minisign signature.
    Minisign,
    /// A Sigstore bundle.
    Bundle,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sums => "file of checksums",
            Self::Signature | Self::Minisign => "signature",
            Self::Bundle => "bundle of Sigstore",
        }
    }

    /// Whether the content looks like this kind.
    pub(super) fn is_like(self, bytes: &[u8]) -> bool {
        match self {
            Self::Sums => Sums::parse(bytes).has_digests(),
            Self::Signature => {
                is_armoured(bytes) || is_packet(bytes) || is_signify(bytes) || is_base64(bytes)
            }
            Self::Minisign => is_signify(bytes),
            Self::Bundle => {
                serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes)
                    .is_ok_and(|bundle| OF_BUNDLE.iter().any(|field| bundle.contains_key(*field)))
            }
        }
    }
}

/// Whether a line opens ASCII armour: OpenPGP's (RFC 9580, 6.2), or a format modelled on it.
fn is_armoured(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut begun =
        lines.filter_map(|line| line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"));
    begun.any(|what| ARMOURED.iter().any(|known| what == known.as_bytes()))
}

/// Whether the first OpenPGP packet is a signature (RFC 9580, 4.2) of a known version.
fn is_packet(bytes: &[u8]) -> bool {
    let version = match bytes {
        // Legacy header, with a length field of one, two or four bytes.
        [0x88, _, version, ..] | [0x89, _, _, version, ..] | [0x8a, _, _, _, _, version, ..] => {
            version
        }
        // Current header, with a length field of one, two or five bytes.
        [0xc2, 0..192, version, ..]
        | [0xc2, 192..224, _, version, ..]
        | [0xc2, 255, _, _, _, _, version, ..] => version,
        _ => return false,
    };
    (2..=6).contains(version)
}

/// Whether the content opens like a minisign or signify signature.
fn is_signify(bytes: &[u8]) -> bool {
    bytes.starts_with(b"untrusted comment:")
}

/// Whether the content is a bare Base64 signature, as cosign and `openssl base64` write it.
fn is_base64(bytes: &[u8]) -> bool {
    // Line breaks may occur inside; spaces may not.
    let text: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    BASE64_STANDARD.decode(text.trim_ascii()).is_ok_and(|signature| signature.len() >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_told_from_error_pages() {
        let ed25519 = BASE64_STANDARD.encode([0xab; 64]);
        let wrapped = format!("{}\n{}\n", &ed25519[..64], &ed25519[64..]);
        let signatures: [&[u8]; 12] = [
            b"-----BEGIN PGP SIGNATURE-----\r\n\r\niQ\r\n-----END PGP SIGNATURE-----\r\n",
            b"Comment\n-----BEGIN PGP SIGNATURE-----\n",
            b"-----BEGIN SSH SIGNATURE-----\n",
            b"untrusted comment: signature from key\nRW",
            ed25519.as_bytes(),
            wrapped.as_bytes(),
            &[0x88, 0x75, 4, 0],
            &[0x89, 1, 0x33, 4, 0],
            &[0x8a, 0, 0, 1, 0, 3],
            &[0xc2, 0x75, 6],
            &[0xc2, 0xc1, 0x33, 4],
            &[0xc2, 0xff, 0, 0, 1, 0, 4],
        ];
        for bytes in signatures {
            assert!(Kind::Signature.is_like(bytes), "{bytes:?}");
        }
        let page = "Sorry, not found. ".repeat(20);
        let others: [&[u8]; 9] = [
            b"",
            b"404",
            b"not found",
            page.as_bytes(),
            b"say -----BEGIN PGP SIGNATURE-----",
            b"-----BEGIN CERTIFICATE-----\n",
            b"QUJD",
            // A gzip header and an OpenPGP public key.
            &[0x1f, 0x8b, 8, 0],
            &[0x99, 1, 0x33, 4],
        ];
        for bytes in others {
            assert!(!Kind::Signature.is_like(bytes), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn bundles_and_checksums_are_recognised_by_content() {
        for bundle in [r#"{"mediaType":"x"}"#, r#"{"base64Signature":"x","cert":"y"}"#] {
            assert!(Kind::Bundle.is_like(bundle.as_bytes()), "{bundle}");
        }
        for other in ["[]", r#"{"error":"not found"}"#, "not found", ""] {
            assert!(!Kind::Bundle.is_like(other.as_bytes()), "{other}");
        }
        assert!(Kind::Sums.is_like("ab".repeat(32).as_bytes()));
        assert!(Kind::Sums.is_like(BASE64_STANDARD.encode([7; 64]).as_bytes()));
        for other in ["", "not found", "deadbeef  a.tgz"] {
            assert!(!Kind::Sums.is_like(other.as_bytes()), "{other}");
        }
    }
}
