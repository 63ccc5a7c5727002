//! The real parts, each started on free ports of the loopback address and ended with the test process.

pub(crate) mod broker;
pub(crate) mod browser;
pub(crate) mod daemon;
pub(crate) mod events;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod process;
pub(crate) mod produce;
pub(crate) mod registry;
pub(crate) mod slack;
pub(crate) mod wait;

use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody listens on. It lies below the range that the system hands out to clients: a client that tries
/// again and again to reach a server that is down would otherwise end up connected to itself.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs that go on at the same time begin at different places.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < COUNT, "no free port");
        let port = FIRST + (start.wrapping_mul(7) % COUNT + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own below target/, removed when it is dropped.
pub(crate) fn scratch(name: &str) -> tempfile::TempDir {
    let parent = root().join("target/e2e");
    std::fs::create_dir_all(&parent).unwrap();
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(parent)
        .unwrap()
}

/// A name that no other test of this run uses, for topics and groups on the shared broker.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The runtime on which asynchronous parts run beside the tests, which block.
pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}
