//! Free loopback ports.

use std::net::TcpListener;

/// A port that was free a moment ago.
pub fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// One whose Cluster bus, 10,000 higher, is free as well.
pub fn with_bus() -> u16 {
    (0..1_000)
        .map(|_| free())
        .find(|port| {
            port.checked_add(10_000)
                .is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok())
        })
        .unwrap()
}
