//! The number of files and sockets that this process may have open, and the share of each part.
//!
//! Shells and service managers start programs with a low soft limit for the sake of those that use
//! `select`; a node may raise it to the hard limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit that is enough for a node, whatever its settings.
const ENOUGH: u64 = 1 << 20;
/// Descriptors of one HTTP connection: its socket, a blob, the blob's hash tree, and a spare.
const PER_CONNECTION: u64 = 4;
/// Fewest HTTP connections, and fewest peers: a node that serves none is of no use.
const FEWEST: u64 = 8;

/// Raises the soft limit to the hard one, and returns it. A process keeps what it has if the system
/// refuses.
pub(crate) fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, limit = current, "cannot raise the limit of open files");
            current
        }
    }
}

/// Concurrent HTTP connections, at most `most`: they get half of the descriptors.
pub(crate) fn http_connections(descriptors: u64, most: usize) -> usize {
    share(descriptors / 2 / PER_CONNECTION, most)
}

/// Concurrent connections that peers open, at most `most`: they get a quarter.
pub(crate) fn peers(descriptors: u64, most: u32) -> u32 {
    u32::try_from(share(descriptors / 4, most as usize)).unwrap_or(most)
}

fn share(part: u64, most: usize) -> usize {
    usize::try_from(part.max(FEWEST)).unwrap_or(usize::MAX).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_the_descriptors() {
        for (descriptors, http, inbound) in
            [(64, 8, 16), (256, 32, 64), (1024, 128, 128), (4096, 256, 128), (u64::MAX, 256, 128)]
        {
            assert_eq!(http_connections(descriptors, 256), http, "{descriptors}");
            assert_eq!(peers(descriptors, 128), inbound, "{descriptors}");
        }
        assert_eq!(http_connections(16, 256), 8);
        assert_eq!(peers(4096, 0), 0, "a setting of none is kept");
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let raised = raise();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.maximum, before.maximum);
        assert_eq!(after.current.unwrap_or(u64::MAX), raised);
        assert!(raised >= before.maximum.unwrap_or(ENOUGH).min(ENOUGH));
        assert_eq!(raise(), raised);
    }
}
