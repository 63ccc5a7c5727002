//! Serve: metrics, page and API, read from the latest snapshot.
