//! The memory that a node may use before it turns strangers away: a part of what the machine has.

use std::fs;

/// The limit on a machine that does not tell.
const UNKNOWN: u64 = 1 << 30;
/// The lowest limit; a node needs about half of it.
const LOWEST: u64 = 256 << 20;

/// The limit in bytes: half of the memory of the machine or of the container.
pub(crate) fn limit() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container = container.iter().find_map(|path| {
        // `max` where there is no limit.
        fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    });
    usize::try_from(limit_of(machine, container)).unwrap_or(usize::MAX)
}

fn limit_of(machine: Option<u64>, container: Option<u64>) -> u64 {
    let bytes = machine.into_iter().chain(container).min();
    bytes.map_or(UNKNOWN, |bytes| (bytes / 2).max(LOWEST))
}

/// The memory of a machine, by the text that Linux gives.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_machine_and_the_container() {
        let gib = |n: u64| n << 30;
        assert_eq!(total_of("MemTotal:        8388608 kB\nMemFree: 1 kB\n"), Some(gib(8)));
        assert_eq!((total_of("MemFree: 1 kB"), total_of("MemTotal: many kB")), (None, None));
        assert_eq!(limit_of(Some(gib(8)), None), gib(4));
        assert_eq!(limit_of(Some(gib(64)), Some(gib(2))), gib(1));
        assert_eq!(limit_of(Some(gib(8)), Some(u64::MAX / 2)), gib(4), "no limit, as v1 writes it");
        assert_eq!(limit_of(Some(128 << 20), None), LOWEST);
        assert_eq!(limit_of(None, None), UNKNOWN);
        assert!(limit() as u64 >= LOWEST);
    }
}
