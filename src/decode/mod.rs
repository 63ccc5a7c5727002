//! Decode: bytes to an event.
