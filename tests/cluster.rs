//! Whole nodes: real `perennial-node` and `perennial` processes on loopback.
//!
//! | module | shows |
//! |---|---|
//! | `survive` | the main promise: lose a node, get the release back |
//! | `absent` | a node that was offline catches up |
//! | `names` | which publishers a name resolves through |
//! | `trust` | publishers that are trusted, and not or not wholly kept |
//! | `misses` | HTTP clients ask for what only peers know |
//! | `lock` | exclusive use of a data directory |
//! | `silent` | one of several holders fails during a fetch |
//! | `stop` | SIGTERM during transfers, restarts |
//! | `corrupt` | bytes that rot on disk |
//! | `full` | full and read-only disks |
//! | `gone` | disks that go and come back |
//! | `kill` | SIGKILL at random moments |
//! | `cheats` | peers that send wrong, missing or endless bytes |
//! | `lists` | signed releases with hostile artifact lists |
//! | `two_machines` | one key on two machines, restored backups |
//! | `deny` | denied digests, packages and publishers |
//! | `rotation` | keys that are replaced, copied, taken in again |
//! | `flood` | endless gossip |

mod absent;
mod cheats;
mod corrupt;
mod deny;
mod flood;
mod full;
mod gone;
mod kill;
pub(crate) mod liar;
mod lists;
mod lock;
mod misses;
mod names;
mod rotation;
mod silent;
mod stop;
mod survive;
mod trust;
mod two_machines;
