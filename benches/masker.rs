//! Speed of the masker beside a plain copy of the same bytes, in MB/s (10^6 bytes per second).
//!
//! Prints and judges nothing: a figure of a busy machine is no verdict.
#![expect(clippy::print_stdout, reason = "a bench is read on its output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ferry::secret::{Masker, Secret};

const CHUNK: usize = 64 * 1024;
const SIZE: usize = 32 * 1024 * 1024;

fn main() {
    let secrets: Vec<String> = (0..20).map(secret).collect();
    let started = Instant::now();
    let named = secrets
        .iter()
        .map(|s| ("s".to_owned(), Secret::new(s.clone())));
    let masker = Masker::new(named).expect("the secrets are long enough");
    println!(
        "build with 20 secrets: {:.1} ms",
        started.elapsed().as_secs_f64() * 1e3
    );

    println!(
        "{:<28} {:>10} {:>10} {:>10}",
        "text, MB/s", "memcpy", "stream", "whole"
    );
    row("log lines", &masker, &repeat(log_line));
    row(
        "hexadecimal",
        &masker,
        &repeat(|i| format!("{:016x}\n", noise(i))),
    );
    row("JSON", &masker, &repeat(json_line));
    row("zeros", &masker, &vec![0; SIZE]);
    let with_secret = |i: usize| match i % 100 {
        0 => format!("token={}\n", secrets[i / 100 % 20]),
        _ => log_line(i),
    };
    row("a secret in 100 log lines", &masker, &repeat(with_secret));
}

fn row(name: &str, masker: &Masker, text: &[u8]) {
    let mut out = Vec::with_capacity(text.len() + CHUNK);
    let copy = best(text, || {
        out.clear();
        for chunk in text.chunks(CHUNK) {
            out.extend_from_slice(black_box(chunk));
        }
        black_box(&out);
    });
    let stream = best(text, || {
        out.clear();
        let mut stream = masker.stream();
        for chunk in text.chunks(CHUNK) {
            stream.push(black_box(chunk), &mut out);
        }
        stream.finish(&mut out);
        black_box(&out);
    });
    let whole = best(text, || {
        black_box(masker.bytes(black_box(text)));
    });
    println!("{name:<28} {copy:>10.0} {stream:>10.0} {whole:>10.0}");
}

/// The best of five rounds, in MB/s.
fn best(text: &[u8], mut work: impl FnMut()) -> f64 {
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        work();
        least = least.min(started.elapsed());
    }
    text.len() as f64 / least.as_secs_f64() / 1e6
}

fn repeat(line: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = Vec::with_capacity(SIZE + 256);
    for i in 0.. {
        if text.len() >= SIZE {
            break;
        }
        text.extend_from_slice(line(i).as_bytes());
    }
    text
}

fn noise(i: usize) -> u64 {
    (i as u64 + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(29)
}

/// Between 8 and 24 characters, some with signs that are escaped.
fn secret(i: usize) -> String {
    let long = format!("{:016x}{:08x}", noise(i + 1_000_003), noise(i) >> 32);
    match i % 3 {
        0 => format!("{}!p$'", &long[..8]),
        1 => format!("S3-{}", &long[..12]),
        _ => long,
    }
}

fn log_line(i: usize) -> String {
    format!(
        "2026-11-21T10:{:02}:{:02}.{:03}Z INFO worker[{}] warmed key invoice:{} in {} us, hits={}\n",
        i / 60 % 60,
        i % 60,
        i % 1000,
        i % 8,
        i * 37 % 100_000,
        noise(i) % 9000,
        i % 512,
    )
}

fn json_line(i: usize) -> String {
    format!(
        "{{\"id\":{i},\"name\":\"customer {}\",\"cache_enabled\":{},\"path\":\"/api/v1/invoices/{}\"}}\n",
        noise(i) % 5000,
        i.is_multiple_of(2),
        noise(i) % 90_000,
    )
}
