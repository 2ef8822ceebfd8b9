//! `redis.keys` over a million keys beside `redis-cli`, as ratios taken in one run; what it costs the
//! process in memory, and other clients of the server in latency.
//!
//! It starts a private server on loopback, which ends with this process, and fills it with strings,
//! hashes, lists and sets under 50 prefixes. Nothing here fails: it prints what was measured beside
//! what is aimed at. `KEYS=100000` makes it shorter.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops here")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FERRY: &str = env!("CARGO_BIN_EXE_ferry");
/// How many keys the shell loop asks about; the rest is scaled.
const LOOP: usize = 500;
const ROUNDS: usize = 3;

fn main() {
    let keys = std::env::var("KEYS")
        .ok()
        .and_then(|text| text.parse().ok());
    let keys: usize = keys.unwrap_or(1_000_000);
    let dir = tempfile::Builder::new()
        .prefix("ferry-keys-")
        .tempdir()
        .unwrap();
    let server = Server::start(dir.path());
    server.fill(0, keys, |n| format!("app{}:item:{n}", n % 50));
    server.fill(1, keys, |n| format!("p{n}:x"));
    println!(
        "{keys} keys in each of two databases, {:.0} MB in the server",
        server.used_memory() / 1e6
    );
    println!(
        "{:<58} {:>10} {:>8} {:>8}",
        "what", "measured", "ratio", "aim"
    );
    idle(&server);
    let own = probe(&server, dir.path(), keys);
    cli(&server, own, keys);
}

/// The probe, in several ways; how long it took in the usual one.
fn probe(server: &Server, dir: &Path, keys: usize) -> f64 {
    let mut passes: Vec<Pass> = (0..ROUNDS)
        .map(|_| pass(server, dir, 0, keys, ""))
        .collect();
    passes.sort_by(|a, b| a.took.total_cmp(&b.took));
    let own = &passes[ROUNDS / 2];
    row(
        "redis.keys, whole run of ferry",
        &seconds(own.took),
        None,
        "",
    );
    let worst = |of: fn(&Pass) -> f64| passes.iter().map(of).fold(0.0, f64::max);
    row(
        "  most memory of the process",
        &mb(worst(|p| p.peak_kb)),
        None,
        "100 MB",
    );
    others("  meanwhile", &own.others, "10 ms");
    row(
        "  worst p99 of the rounds",
        &ms(worst(|p| p.others.p99)),
        None,
        "10 ms",
    );
    let spread = pass(server, dir, 1, keys, "");
    row(
        "redis.keys, every key a prefix of its own",
        &seconds(spread.took),
        None,
        "",
    );
    row(
        "  most memory of the process",
        &mb(spread.peak_kb),
        None,
        "100 MB",
    );
    others("  meanwhile", &spread.others, "10 ms");
    let full = pass(server, dir, 0, keys, ", load: 1");
    row("redis.keys, load: 1", &seconds(full.took), None, "");
    others("  meanwhile", &full.others, "");

    own.took
}

/// The same by other means.
fn cli(server: &Server, own: f64, keys: usize) {
    let mut both = 0.0;
    for flag in ["--bigkeys", "--memkeys"] {
        let (took, beside) = beside(server, || server.cli(&[flag]));
        both += took;
        row(&format!("redis-cli {flag}"), &seconds(took), None, "");
        others("  meanwhile", &beside, "");
    }
    row(
        "both, one after the other / redis.keys",
        &seconds(both),
        Some(both / own),
        "5",
    );
    let scaled = shell_loop(server) * (keys as f64 / LOOP as f64);
    let what = format!("shell loop of `redis-cli ttl` ({LOOP} keys, scaled) / redis.keys");
    row(&what, &seconds(scaled), Some(scaled / own), "100");
}

fn row(what: &str, measured: &str, ratio: Option<f64>, aim: &str) {
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.1}"));
    println!("{what:<58} {measured:>10} {ratio:>8} {aim:>8}");
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

fn ms(ms: f64) -> String {
    format!("{ms:.2} ms")
}

fn mb(kb: f64) -> String {
    format!("{:.1} MB", kb * 1024.0 / 1e6)
}

fn others(what: &str, latency: &Latency, aim: &str) {
    let text = format!(
        "{what}, another client: p50 {}, max {}, p99:",
        ms(latency.p50),
        ms(latency.max)
    );
    row(&text, &ms(latency.p99), None, aim);
}

fn idle(server: &Server) {
    let (_, quiet) = beside(server, || std::thread::sleep(Duration::from_secs(3)));
    others("nobody else", &quiet, "");
}

/// How long another client waited for its answers, in milliseconds.
struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

/// Runs `work` while another client sends a GET each millisecond.
fn beside(server: &Server, work: impl FnOnce()) -> (f64, Latency) {
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let mut connection = server.connect(0);
    let client = std::thread::spawn(move || {
        let mut samples = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let began = Instant::now();
            redis::cmd("GET")
                .arg("app0:item:0")
                .exec(&mut connection)
                .unwrap();
            samples.push(began.elapsed().as_secs_f64() * 1_000.0);
            std::thread::sleep(Duration::from_millis(1));
        }
        samples
    });
    let began = Instant::now();
    work();
    let took = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut samples = client.join().unwrap();
    samples.sort_by(f64::total_cmp);
    let at = |percent: usize| samples[(samples.len() * percent).div_ceil(100).max(1) - 1];
    let latency = Latency {
        p50: at(50),
        p99: at(99),
        max: samples[samples.len() - 1],
    };
    (took, latency)
}

struct Pass {
    took: f64,
    peak_kb: f64,
    others: Latency,
}

/// One `ferry run` of one step, which fails unless it saw every key.
fn pass(server: &Server, dir: &Path, db: u16, keys: usize, params: &str) -> Pass {
    let runbook = dir.join("keys.yaml");
    let text = format!(
        "runbook: keys\ntargets: {{ t: {{ redis: 'redis://127.0.0.1:{}/{db}' }} }}\nphases:\n  all:\n    steps:\n      - {{ redis.keys: {{ memory: true{params} }}, target: t, expect: 'result.keys == {keys} && result.complete' }}\n",
        server.port
    );
    std::fs::write(&runbook, text).unwrap();
    let mut peak_kb = 0.0;
    let (took, others) = beside(server, || peak_kb = run(dir, &runbook));
    Pass {
        took,
        peak_kb,
        others,
    }
}

/// Runs ferry; the most memory it had.
fn run(dir: &Path, runbook: &Path) -> f64 {
    let mut child = Command::new(FERRY)
        .arg("run")
        .arg(runbook)
        .arg("--state-dir")
        .arg(dir.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kb.unwrap_or(0.0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "ferry did not see every key: {status}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long it takes to ask about a part of the keys, one process each.
fn shell_loop(server: &Server) -> f64 {
    let script = format!(
        "n=0; while [ $n -lt {LOOP} ]; do redis-cli -p {} ttl app$((n % 50)):item:$n; n=$((n + 1)); done",
        server.port
    );
    let began = Instant::now();
    let status = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    began.elapsed().as_secs_f64()
}

/// A server that ends with this process.
struct Server {
    port: u16,
    dir: PathBuf,
    supervisor: Child,
}

/// Its end comes when the standard input of this does.
const SUPERVISE: &str = r#"redis-server "$@" >/dev/null & pid=$!
echo $pid; cat >/dev/null
kill -KILL $pid; wait $pid 2>/dev/null"#;

impl Server {
    fn start(dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let text = port.to_string();
        let mut supervisor = Command::new("sh")
            .args([
                "-c",
                SUPERVISE,
                "sh",
                "--port",
                &text,
                "--bind",
                "127.0.0.1",
            ])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = supervisor.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let until = Instant::now() + Duration::from_secs(15);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self {
            port,
            dir: dir.to_owned(),
            supervisor,
        }
    }

    fn connect(&self, db: u16) -> redis::Connection {
        redis::Client::open(format!("redis://127.0.0.1:{}/{db}", self.port))
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// Two thirds of the strings have an end.
    fn fill(&self, db: u16, keys: usize, name: impl Fn(usize) -> String) {
        let mut connection = self.connect(db);
        let all: Vec<usize> = (0..keys).collect();
        for part in all.chunks(10_000) {
            let mut pipeline = redis::pipe();
            for &n in part {
                let key = name(n);
                let value = format!("value-of-{n}-abcdefghijklmnopqrstuvwxyz");
                match n % 10 {
                    7 => pipeline
                        .cmd("HSET")
                        .arg(key)
                        .arg(&["a", "1", "b", "2", "c", &value]),
                    8 => pipeline.cmd("RPUSH").arg(key).arg(&["a", "b", "c", "d"]),
                    9 => pipeline.cmd("SADD").arg(key).arg(&["1", "2", "3", &value]),
                    _ if n % 3 == 0 => pipeline.cmd("SET").arg(key).arg(value),
                    _ => pipeline
                        .cmd("SET")
                        .arg(key)
                        .arg(value)
                        .arg("EX")
                        .arg(3_600 + n % 86_400),
                }
                .ignore();
            }
            pipeline.exec(&mut connection).unwrap();
        }
    }

    fn used_memory(&self) -> f64 {
        let mut connection = self.connect(0);
        let info: String = redis::cmd("INFO")
            .arg("memory")
            .query(&mut connection)
            .unwrap();
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().trim().parse().unwrap()
    }

    fn cli(&self, args: &[&str]) {
        let status = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(args)
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
