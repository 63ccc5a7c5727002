//! Notify: drains the outbox, one queue a destination.
