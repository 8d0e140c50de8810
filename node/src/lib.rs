//! A Perennial node: config, keys, the event loop, shutdown.
