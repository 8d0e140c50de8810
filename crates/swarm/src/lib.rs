//! The libp2p driver: events in, effects out; decides nothing.
