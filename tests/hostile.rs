//! Attacks on whole nodes by strangers: fresh keys and fresh peer ids that nobody trusts, whose
//! every answer is free to choose. One file an attack; the kit is `cluster::liar`, and
//! `perennial_tests::Stranger` for attackers at addresses of their own.
//!
//! | module | attack |
//! |---|---|
//! | `histories` | a long feed whose end is gossiped, so that the rest comes as its history |
//! | `idle` | identities that connect and say nothing, and calls without a handshake |
//! | `silent_streams` | blob streams that are opened and bring no request |
//! | `sizes` | entries that name a followed publisher's lists with sizes that are not theirs |
//! | `slow_clients` | HTTP clients that take all connections and leave none |
//! | `half_hour` | everything at once, for two minutes or half an hour, by hand |

mod half_hour;
mod histories;
mod idle;
mod silent_streams;
mod sizes;
mod slow_clients;
