//! Building a world and clearing it away again.
//! Stops only what the records of that world name.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::appctl::{self, Verb, Which};
use crate::error::{Fail, Outcome};
use crate::process::{self, Record, Stopped};
use crate::world::World;
use crate::{db, scenery, seed};

/// All that a world consists of, directly below its directory.
const OURS: [&str; 11] = [
    "app.db",
    "app.db-journal",
    "backend",
    "faults",
    "logs",
    "maintenance.on",
    "notifications.jsonl",
    "ops",
    "redis",
    "run",
    "world.env",
];

/// Builds the world and starts it. What was started is stopped again when a part fails.
pub async fn up(dir: &Path, instances: u16) -> Outcome<ExitCode> {
    prepare(dir).await?;
    let mut tries = 0;
    let world = loop {
        tries += 1;
        let (base, redis) = free_ports(instances)?;
        let world = World::create(dir, &environment(dir, base, redis, instances)?)?;
        match start_redis(&world, redis).await {
            Ok(()) => break world,
            // somebody else may have taken the port since we looked
            Err(e) if tries == 3 => return Err(e),
            Err(_) => drop(process::stop(&world, "redis").await?),
        }
    };
    match furnish(&world).await {
        Ok(()) => status(&world).await,
        Err(e) => {
            stop_all(&world).await?;
            Err(e)
        }
    }
}

async fn furnish(world: &World) -> Outcome<()> {
    scenery::build(world)?;
    db::create(world).await?;
    seed::fill(world).await?;
    let log = world.dir.join("logs/front.out");
    let command = [process::own_binary()?, "front".to_owned()];
    let mut front = process::spawn(world, "front", &log, &command)?;
    appctl::await_port(&mut front, world.base_port()?, &log).await?;
    let code = appctl::run(world, Verb::Start, Which::All).await?;
    if code != ExitCode::SUCCESS {
        return Err(Fail::said("an instance did not start"));
    }
    Ok(())
}

/// An empty directory, or one of ours cleared of what we put there.
async fn prepare(dir: &Path) -> Outcome<()> {
    if let Ok(old) = World::open(dir) {
        stop_all(&old).await?;
        for name in OURS {
            let path = old.dir.join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Fail::io(format!("remove `{}`", path.display()), e));
                }
                _ => {}
            }
        }
    }
    fs::create_dir_all(dir).map_err(|e| Fail::io(format!("make `{}`", dir.display()), e))?;
    let mut entries =
        fs::read_dir(dir).map_err(|e| Fail::io(format!("read `{}`", dir.display()), e))?;
    if entries.next().is_some() {
        return Err(Fail::said(format!(
            "`{}` is neither empty nor a demo world: nothing was touched",
            dir.display()
        )));
    }
    for name in [
        "run",
        "logs",
        "redis",
        "faults",
        "ops",
        "backend/settings",
        "backend/cache",
    ] {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(|e| Fail::io(format!("make `{}`", path.display()), e))?;
    }
    Ok(())
}

fn environment(
    dir: &Path,
    base: u16,
    redis: u16,
    instances: u16,
) -> Outcome<Vec<(&'static str, String)>> {
    let dir = dir
        .canonicalize()
        .map_err(|e| Fail::io(format!("resolve `{}`", dir.display()), e))?;
    Ok(vec![
        ("DEMO_WORLD", dir.display().to_string()),
        ("DEMO_INSTANCES", instances.to_string()),
        ("REDIS_URL", format!("redis://127.0.0.1:{redis}/1")),
        (
            "DATABASE_URL",
            format!("sqlite://{}", dir.join("app.db").display()),
        ),
        ("APP_URL", format!("http://127.0.0.1:{base}")),
        ("INSTANCE_BASE_PORT", base.to_string()),
        ("SMOKE_USER", "testuser".to_owned()),
        ("SMOKE_PASSWORD", "testpass".to_owned()),
        ("CACHE_KEY_PREFIX", "revisbali".to_owned()),
        ("CACHE_DEFAULT_TIMEOUT", "300".to_owned()),
    ])
}

/// A run of free ports below those that the kernel hands out by itself: the front's, one for each
/// instance behind it, and Redis's after those.
fn free_ports(instances: u16) -> Outcome<(u16, u16)> {
    for _ in 0..50 {
        let digits = db::random_hex(2)?;
        let random =
            u16::from_str_radix(&digits, 16).expect("two random bytes are four hex digits");
        let base = 20_000 + random % 1_200 * 10;
        let redis = base + instances + 1;
        // held together, so that the ports are free at one moment
        let held: Vec<_> = (base..=redis)
            .map_while(|p| TcpListener::bind(("127.0.0.1", p)).ok())
            .collect();
        if held.len() == usize::from(instances) + 2 {
            return Ok((base, redis));
        }
    }
    Err(Fail::said(
        "found no run of free loopback ports between 20000 and 32000",
    ))
}

async fn start_redis(world: &World, port: u16) -> Outcome<()> {
    let mut command: Vec<String> = vec![find_redis()?];
    let dir = world.dir.join("redis").display().to_string();
    let port = port.to_string();
    for (name, value) in [
        ("--port", port.as_str()),
        ("--bind", "127.0.0.1"),
        ("--dir", &dir),
        ("--save", ""),
        ("--appendonly", "no"),
        ("--databases", "16"),
        ("--daemonize", "no"),
    ] {
        command.extend([name.to_owned(), value.to_owned()]);
    }
    let log = world.dir.join("logs/redis.log");
    let mut child = process::spawn(world, "redis", &log, &command)?;
    let client = redis::Client::open(world.get("REDIS_URL")?)?;
    let end = Instant::now() + Duration::from_secs(10);
    let pid_wanted = child.id();
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or_default();
            return Err(Fail::said(format!(
                "redis-server ended with {status}: {last}"
            )));
        }
        if answering_pid(&client).await == Some(pid_wanted) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(Fail::said("redis-server did not answer within 10 s"))
}

/// Which process answers: a stranger on the same port must not be taken for ours.
async fn answering_pid(client: &redis::Client) -> Option<u32> {
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let info: String = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut connection)
        .await
        .ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("process_id:"))?;
    line.trim().parse().ok()
}

fn find_redis() -> Outcome<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|candidate| candidate.is_file())
        .map(|found| found.display().to_string())
        .ok_or_else(|| Fail::said("no `redis-server` on the PATH: install your system's package"))
}

async fn stop_all(world: &World) -> Outcome<u32> {
    let mut names = process::names(world);
    // those who use Redis go before Redis, and instances before the front
    names.sort_by_key(|n| match n.as_str() {
        "redis" => 2,
        "front" => 1,
        _ => 0,
    });
    let mut count = 0;
    let mut first_failure = None;
    for name in names {
        match process::stop(world, &name).await {
            Ok(Stopped::WasNot) => {}
            Ok(_) => {
                println!("{name}: stopped");
                count += 1;
            }
            Err(e) => first_failure = first_failure.or(Some(e)),
        }
    }
    first_failure.map_or(Ok(count), Err)
}

/// Stops all that runs in the world; nothing to stop is fine, no world at all too.
pub async fn down(dir: &Path) -> Outcome<ExitCode> {
    if !dir.join("world.env").exists() {
        println!("no world in `{}`", dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    if stop_all(&World::open(dir)?).await? == 0 {
        println!("nothing was running");
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each part; exit code 3 when one is not up.
pub async fn status(world: &World) -> Outcome<ExitCode> {
    let mut all_up = true;
    for (name, place) in [
        ("redis", world.get("REDIS_URL")?),
        ("front", world.get("APP_URL")?),
    ] {
        match Record::read(world, name).filter(Record::alive) {
            Some(record) => println!("{name}: running (pid {}, {place})", record.pid),
            None => {
                println!("{name}: not running");
                all_up = false;
            }
        }
    }
    for n in 1..=world.instances()? {
        let (up, text) = appctl::describe(world, n).await?;
        println!("instance {n}: {text}");
        all_up &= up;
    }
    println!("world: {}", world.dir.display());
    Ok(ExitCode::from(if all_up { 0 } else { 3 }))
}
