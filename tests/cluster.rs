//! Whole nodes: real `perennial-node` and `perennial` processes on loopback.
//!
//! `survive` is the main job (lose a node, get the release back); `absent` a node that was away; `names`
//! who may be believed; `lock` who may use a data directory; `stop` SIGTERM and restarts; `corrupt` bytes
//! that rot on disk; `full` disks without room and without leave to write; `kill` kill -9 at random moments;
//! `cheats` peers that send wrong bytes, none or too many; `lists` signed releases whose lists mean harm;
//! `two_machines` one key used twice, and backups; `deny` digests that are refused;
//! `flood` gossip without end.

mod absent;
mod cheats;
mod corrupt;
mod deny;
mod flood;
mod full;
mod kill;
mod liar;
mod lists;
mod lock;
mod names;
mod stop;
mod survive;
mod two_machines;
