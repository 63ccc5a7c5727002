//! The daemon: starts tasks and wires channels.
