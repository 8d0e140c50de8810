//! Every network decision, without a network: same inputs, same effects.
