//! The typed local conversation between the CLI and a node.
