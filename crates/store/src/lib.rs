//! Bytes on disk by BLAKE3, the catalog, the sled index, pins, gc and scrub. Blocking, no network.
