//! What a release is and who vouches for it. Pure: no I/O, no clock, no threads.
