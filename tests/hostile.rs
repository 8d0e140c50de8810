//! Attacks on whole nodes by strangers: fresh keys and fresh peer ids that nobody trusts, whose
//! every answer is free to choose. One file an attack; the kit is `cluster::liar`.
//!
//! | module | attack |
//! |---|---|
//! | `histories` | a long feed whose end is gossiped, so that the rest comes as its history |
//! | `sizes` | entries that name a followed publisher's lists with sizes that are not theirs |

mod histories;
mod sizes;
