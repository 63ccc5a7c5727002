//! State: one atomic commit.
