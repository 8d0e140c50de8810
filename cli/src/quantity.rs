//! Bytes, counts, durations and dates, as users write and read them.

use std::time::Duration;

use indicatif::BinaryBytes;

/// The shortest time that gives a meaningful rate.
const MEASURABLE: Duration = Duration::from_millis(100);

/// `1.40 MiB`
pub(crate) fn bytes(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// `1 file`, `2,000 files`
pub(crate) fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", indicatif::HumanCount(n))
}

/// `1 entry`, `2,000 entries`
pub(crate) fn entries(n: u64) -> String {
    if n == 1 { "1 entry".to_owned() } else { format!("{} entries", indicatif::HumanCount(n)) }
}

/// `0.42 s`, `75.3 s`
pub(crate) fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

/// `, 12.3 MiB/s`; nothing for what was too short to be measured.
pub(crate) fn at_rate(n: u64, took: Duration) -> String {
    if took < MEASURABLE {
        return String::new();
    }
    let per_second = u128::from(n) * 1_000_000 / took.as_micros();
    format!(", {}/s", bytes(u64::try_from(per_second).unwrap_or(u64::MAX)))
}

/// `2025-07-31`, in UTC. Accepts any number of Unix seconds, since publishers may claim any time.
pub(crate) fn day(unix_seconds: u64) -> String {
    // Days to a civil date, after Howard Hinnant's `civil_from_days`.
    let days = unix_seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Parses `90`, `90s`, `15m`, `36h` or `14d`; a bare number means seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => {
            return Err(
                "write a number followed by s, m, h or d, such as 90s, 15m, 36h or 14d".into()
            );
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a number followed by s, m, h or d, such as 36h".to_owned())?;
    number
        .checked_mul(unit)
        .map(Duration::from_secs)
        .ok_or_else(|| "the duration is too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("36h", 129_600), ("14d", 1_209_600)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "s", "1w", "-1", "1.5h", "h1", "99999999999999999999", "18446744073709551615d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_printed() {
        for (time, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_753_920_000, "2025-07-31"),
            (1_767_225_599, "2025-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(time), text);
        }
        assert!(day(u64::MAX).len() > 8);
    }

    #[test]
    fn a_rate_is_told_only_after_a_measurable_time() {
        assert_eq!(at_rate(1024, Duration::from_secs(1)), ", 1.00 KiB/s");
        assert!(at_rate(u64::MAX, Duration::from_millis(100)).ends_with("/s"));
        assert_eq!(at_rate(300_000, Duration::from_micros(999)), "");
        assert_eq!(
            (count(1, "file"), count(2000, "file")),
            ("1 file".into(), "2,000 files".into())
        );
    }
}
