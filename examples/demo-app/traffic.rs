//! Readers of invoices, for warming a cache and for seeing whether a deployment is noticed.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::error::Outcome;
use crate::http;
use crate::world::World;

/// Reads invoice pages one after another and prints the counts as JSON; exit code 1 when an
/// answer was not 200.
pub async fn run(world: &World, requests: u32, pause_ms: u64) -> Outcome<ExitCode> {
    let port = world.base_port()?;
    let (mut failures, mut hits, mut misses) = (0, 0, 0);
    for i in 0..requests {
        let path = format!("/api/invoices/?page={}", i % 8 + 1);
        match http::get(port, &path, Duration::from_secs(10)).await {
            Ok(reply) if reply.status == 200 => match reply.header("x-cache") {
                Some("hit") => hits += 1,
                Some("miss") => misses += 1,
                _ => {}
            },
            _ => failures += 1,
        }
        if pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }
    println!(
        "{}",
        json!({ "requests": requests, "failures": failures, "hits": hits, "misses": misses })
    );
    Ok(ExitCode::from(u8::from(failures > 0)))
}
