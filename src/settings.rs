//! Settings: what the operator sets.
