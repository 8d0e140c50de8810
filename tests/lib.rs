//! Test packages live in the folders beside this file.
