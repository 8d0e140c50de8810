//! Real daemons and commands, as child processes.
