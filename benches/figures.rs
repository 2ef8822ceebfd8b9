//! The figures of the README: ferry beside floors of its own, as ratios taken in one run.
//!
//! A floor does the same work with nothing around it: spawn and wait, append and sync. Every ratio
//! is the median over a few rounds in which the two take turns, so that a busy machine hurts both.
//! Nothing here fails: it prints what was measured beside what is aimed at.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops here")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

const FERRY: &str = env!("CARGO_BIN_EXE_ferry");
const STEPS: usize = 1_000;
const ROUNDS: usize = 3;

/// One part of the figures, in a directory of its own.
type Part = fn(&Path);

fn main() {
    // cargo passes flags such as `--bench`; the first plain word is a filter
    let filter = std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .unwrap_or_default();
    let dir = tempfile::Builder::new()
        .prefix("ferry-figures-")
        .tempdir()
        .unwrap();
    println!(
        "{:<58} {:>10} {:>8} {:>8}",
        "what", "measured", "ratio", "aim"
    );
    let parts: [(&str, Part); 10] = [
        ("chain", chain),
        ("inside", inside),
        ("resume", resume),
        ("fan", fan),
        ("syncs", syncs),
        ("check", check),
        ("small", small),
        ("memory", memory),
        ("report", report),
        ("guards", guards),
    ];
    for (name, part) in parts {
        if name.contains(&filter) {
            part(dir.path());
        }
    }
}

fn row(what: &str, measured: &str, ratio: Option<f64>, aim: &str) {
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    println!("{what:<58} {measured:>10} {ratio:>8} {aim:>8}");
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

/// Wall and CPU time of children that ended meanwhile.
fn timed(work: impl FnOnce()) -> (Duration, Duration) {
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let own = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        [
            usage.user_time(),
            usage.system_time(),
            own.user_time(),
            own.system_time(),
        ]
        .iter()
        .map(|time| {
            Duration::from_micros(
                u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap(),
            )
        })
        .sum::<Duration>()
    };
    let (began, before) = (Instant::now(), cpu());
    work();
    (began.elapsed(), cpu() - before)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ferry(dir: &Path, args: &[&str]) {
    let status = Command::new(FERRY)
        .args(args)
        .arg("--state-dir")
        .arg(dir.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "ferry {args:?}: {status}");
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn steps(n: usize, parallel: usize) -> String {
    let mut text = format!(
        "runbook: bench\nmax_parallel: {parallel}\nphases:\n  all:\n    parallel: {parallel}\n    steps:\n"
    );
    for at in 0..n {
        let _ = writeln!(text, "      - {{ id: s{at}, shell: 'true', undo: none }}");
    }
    text
}

fn spawn() {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(command.status().unwrap().success());
}

/// One after another: spawn, wait, append 300 bytes, sync.
fn bare_chain(dir: &Path, syncs: bool) {
    let mut file = File::create(dir.join("floor")).unwrap();
    for _ in 0..STEPS {
        spawn();
        if syncs {
            file.write_all(&[b'x'; 300]).unwrap();
            file.sync_data().unwrap();
        }
    }
}

fn chain(dir: &Path) {
    let runbook = write(dir, "chain.yaml", &steps(STEPS, 1));
    let (mut walls, mut cpus, mut last) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let (floor, _) = timed(|| bare_chain(dir, true));
        let (wall, cpu) = timed(|| ferry(dir, &["run", &runbook]));
        let (_, spawn_cpu) = timed(|| bare_chain(dir, false));
        walls.push(wall.as_secs_f64() / floor.as_secs_f64());
        cpus.push(cpu.as_secs_f64() / spawn_cpu.as_secs_f64());
        last = wall;
    }
    row(
        "chain of 1,000 `true` / spawn + one fdatasync each",
        &ms(last),
        Some(median(walls)),
        "1.25",
    );
    row("the same, CPU / bare spawn", "", Some(median(cpus)), "1.35");
}

/// Steps that start no process: what is left is the journal.
fn inside(dir: &Path) {
    let mut text = String::from("runbook: inside\nphases:\n  all:\n    steps:\n");
    for at in 0..STEPS {
        let _ = writeln!(text, "      - {{ id: s{at}, file.stat: nowhere }}");
    }
    let runbook = write(dir, "inside.yaml", &text);
    let (mut ratios, mut last) = (Vec::new(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let (floor, _) = timed(|| {
            let mut file = File::create(dir.join("floor")).unwrap();
            for _ in 0..STEPS {
                file.write_all(&[b'x'; 300]).unwrap();
                file.sync_data().unwrap();
            }
        });
        let (wall, _) = timed(|| ferry(dir, &["run", &runbook]));
        ratios.push(wall.as_secs_f64() / floor.as_secs_f64());
        last = wall;
    }
    row(
        "chain of 1,000 steps without a process / append + fdatasync each",
        &ms(last),
        Some(median(ratios)),
        "1.50",
    );
}

/// From the start of `ferry resume` to the first effect after what was done already.
fn resume(dir: &Path) {
    for (what, steps, items, aim) in [
        (
            "resume behind 1,000 steps: to the next effect",
            1_000,
            0,
            "50 ms",
        ),
        (
            "resume behind 100,000 events: to the next effect",
            50,
            1_000,
            "1 s",
        ),
    ] {
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let place = dir.join(format!("resume-{steps}-{round}"));
            std::fs::create_dir_all(&place).unwrap();
            let mut text =
                String::from("runbook: resume\ninputs: { items: { type: list, default: [");
            text.push_str(
                &(0..items)
                    .map(|at| at.to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            );
            text.push_str("] } }\nphases:\n  all:\n    steps:\n");
            let each = if items > 0 {
                ", for_each: inputs.items, parallel: 64"
            } else {
                ""
            };
            for at in 0..steps {
                let _ = writeln!(text, "      - {{ id: s{at}, wait: 0s{each} }}");
            }
            text.push_str(
                "      - id: last\n        shell: if test -e mark; then date +%s%N > effect; else touch mark; kill -9 $PPID; fi\n        idempotent: true\n        undo: none\n",
            );
            text = text.replacen("inputs:", "max_parallel: 64\ninputs:", 1);
            let runbook = write(&place, "resume.yaml", &text);
            let command = |args: &[&str]| {
                let mut command = Command::new(FERRY);
                command
                    .args(args)
                    .current_dir(&place)
                    .args(["--state-dir", "state"]);
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                command
            };
            let killed = command(&["run", &runbook]).status().unwrap();
            assert!(killed.code().is_none(), "it ends by its own step");
            let began = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            assert!(command(&["resume"]).status().unwrap().success());
            let effect = std::fs::read_to_string(place.join("effect")).unwrap();
            let at = Duration::from_nanos(effect.trim().parse().unwrap());
            times.push((at - began).as_secs_f64() * 1_000.0);
            std::fs::remove_dir_all(&place).unwrap();
        }
        row(what, &format!("{:.0} ms", median(times)), None, aim);
    }
}

fn bare_fan(width: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < STEPS {
                    spawn();
                }
            });
        }
    });
}

fn fan(dir: &Path) {
    for width in [8, 32] {
        let runbook = write(dir, "fan.yaml", &steps(STEPS, width));
        let (mut ratios, mut last) = (Vec::new(), Duration::ZERO);
        for _ in 0..ROUNDS {
            let (floor, _) = timed(|| bare_fan(width));
            let (wall, _) = timed(|| ferry(dir, &["run", &runbook]));
            ratios.push(wall.as_secs_f64() / floor.as_secs_f64());
            last = wall;
        }
        let what = format!("1,000 independent steps, {width} side by side / bare fan-out");
        row(&what, &ms(last), Some(median(ratios)), "1.30");
    }
}

/// Counted by strace, which no noise moves.
fn syncs(dir: &Path) {
    for (width, aim) in [(1, "1.05"), (32, "0.35")] {
        let runbook = write(dir, "syncs.yaml", &steps(STEPS, width));
        let log = dir.join("strace");
        let traced = Command::new("strace")
            .args(["-f", "-c", "-e", "trace=fdatasync,fsync", "-o"])
            .arg(&log)
            .args([FERRY, "run", &runbook, "--state-dir"])
            .arg(dir.join("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let Ok(true) = traced.map(|status| status.success()) else {
            row("syncs: strace is not there", "", None, aim);
            continue;
        };
        let text = std::fs::read_to_string(&log).unwrap();
        let calls = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_end().ends_with(&format!(" {name}")));
            line.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        let count = calls("fdatasync") + calls("fsync");
        #[expect(clippy::cast_precision_loss, reason = "a thousand")]
        let ratio = count / STEPS as f64;
        row(
            &format!("syncs a step, {width} side by side"),
            &format!("{count:.0}"),
            Some(ratio),
            aim,
        );
    }
}

/// Peak memory of a command in kB, as the kernel counted it.
fn peak_kb(args: &[&str], dir: &Path) -> (u64, Duration) {
    let began = Instant::now();
    let child = Command::new(FERRY)
        .args(args)
        .arg("--state-dir")
        .arg(dir.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut child = child;
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
            .max(peak);
        if child.try_wait().unwrap().is_some() {
            return (peak, began.elapsed());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn check(dir: &Path) {
    let mut text = String::from(
        "runbook: large\ntargets: { cache: { redis: 'redis://127.0.0.1:6379' } }\nphases:\n  all:\n    steps:\n",
    );
    for at in 0..10_000 {
        let _ = write!(
            text,
            "      - id: step-{at}\n        shell: ./ops/do something {at}\n        timeout: 5m\n        idempotent: true\n        \
             expect: result.exit_code == 0 && result.stdout != 'x{at}'\n        undo:\n          - shell: ./ops/undo {at}\n"
        );
    }
    let runbook = write(dir, "large.yaml", &text);
    let size = format!("check of 10,000 steps ({:.1} MB)", text.len() as f64 / 1e6);
    let (mut times, mut peak) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let (wall, _) = timed(|| ferry(dir, &["check", &runbook]));
        times.push(wall.as_secs_f64());
        peak = peak.max(peak_kb(&["check", &runbook], dir).0);
    }
    row(&size, &format!("{:.2} s", median(times)), None, "0.6 s");
    row(
        "the same, peak memory",
        &format!("{} MB", peak / 1024),
        None,
        "96 MB",
    );
}

/// The reports of a run of 10,000 steps, each with an expectation and an output.
fn report(dir: &Path) {
    let mut text = String::from(
        "runbook: long\nmax_parallel: 64\nphases:\n  all:\n    parallel: 64\n    steps:\n",
    );
    for at in 0..10_000 {
        let _ = writeln!(
            text,
            "      - {{ id: s{at}, shell: 'echo step {at} is done', read_only: true, expect: 'result.stdout.contains(\"done\")' }}"
        );
    }
    let runbook = write(dir, "long.yaml", &text);
    let place = dir.join("long");
    std::fs::create_dir_all(&place).unwrap();
    ferry(&place, &["run", &runbook]);
    for (format, aim) in [("html", "2 s"), ("md", ""), ("json", ""), ("junit", "")] {
        let file = place.join("report").display().to_string();
        let args = ["report", "--format", format, "--output", &file];
        let (mut times, mut peak) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let (wall, _) = timed(|| ferry(&place, &args));
            times.push(wall.as_secs_f64());
            peak = peak.max(peak_kb(&args, &place).0);
        }
        let size = std::fs::metadata(&file).unwrap().len() / 1024;
        let what = format!("report of 10,000 steps as {format} ({size} kB)");
        row(&what, &format!("{:.2} s", median(times)), None, aim);
        let aim = if aim.is_empty() { "" } else { "200 MB" };
        row(
            "the same, peak memory",
            &format!("{} MB", peak / 1024),
            None,
            aim,
        );
    }
}

fn small(dir: &Path) {
    let version = (0..20).map(|_| {
        let (wall, _) = timed(|| {
            assert!(
                Command::new(FERRY)
                    .arg("--version")
                    .stdout(Stdio::null())
                    .status()
                    .unwrap()
                    .success()
            );
        });
        wall.as_secs_f64() * 1_000.0
    });
    row(
        "ferry --version",
        &format!("{:.1} ms", median(version.collect())),
        None,
        "5 ms",
    );
    let runbook = write(dir, "one.yaml", &steps(1, 1));
    let runs = (0..10).map(|_| timed(|| ferry(dir, &["run", &runbook])).0.as_secs_f64() * 1_000.0);
    row(
        "a run of one step",
        &format!("{:.1} ms", median(runs.collect())),
        None,
        "20 ms",
    );
    let (peak, _) = peak_kb(
        &[
            "run",
            &write(
                dir,
                "sleep.yaml",
                &steps(1, 1).replace("'true'", "sleep 0.2"),
            ),
        ],
        dir,
    );
    row(
        "the same, peak memory",
        &format!("{:.1} MB", peak as f64 / 1024.0),
        None,
        "16 MB",
    );
}

fn memory(dir: &Path) {
    let peak = |n: usize| peak_kb(&["run", &write(dir, "memory.yaml", &steps(n, 8))], dir).0;
    let (few, many) = (peak(1_000), peak(5_000));
    #[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
    let each = many.saturating_sub(few) as f64 / 4_000.0;
    row(
        "memory growth a step (1,000 to 5,000 steps)",
        &format!("{each:.1} kB"),
        None,
        "4 kB",
    );
}

/// How long guards are watched for their cost.
const WATCHED_S: u64 = 20;

/// Fifty guards, each of which reads a Redis every second, beside the same run without them.
fn guards(dir: &Path) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let mut server = Command::new("redis-server")
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
        ])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(15);
    while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        assert!(Instant::now() < until, "redis-server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    let cost = |count: usize| {
        let mut text = format!(
            "runbook: guarded\ntargets: {{ cache: {{ redis: \"redis://127.0.0.1:{port}\" }} }}\n"
        );
        if count > 0 {
            text.push_str("guards:\n");
        }
        for n in 0..count {
            let _ = writeln!(
                text,
                "  g{n}: {{ during: [p], redis.stats: {{}}, target: cache, expect: result.used_memory > 0, every: 1s, then: pause }}"
            );
        }
        let _ = writeln!(
            text,
            "phases: {{ p: {{ steps: [{{ wait: {WATCHED_S}s }}] }} }}"
        );
        let path = write(dir, &format!("guards-{count}.yaml"), &text);
        let (wall, cpu) = timed(|| ferry(dir, &["run", &path, "--yes"]));
        cpu.as_secs_f64() / wall.as_secs_f64()
    };
    let (without, with) = (cost(0), cost(50));
    let share = with - without;
    let measured = format!("{:.1} %", share * 100.0);
    row(
        "50 guards at 1 s each: share of one core",
        &measured,
        Some(share),
        "0.05",
    );
    server.kill().unwrap();
    server.wait().unwrap();
}
