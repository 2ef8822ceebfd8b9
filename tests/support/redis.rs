//! Private redis-servers on loopback: one that is shared, with a database for each test, and
//! dedicated ones. A server ends with its handle, or with the test process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use ferry::action::Target;
use ferry::runbook::TargetKind;
use redis::{Connection, FromRedisValue};

use super::context::target;
use super::ports;

/// A running server.
pub struct Server {
    pub port: u16,
    pub dir: PathBuf,
    pid: u32,
    supervisor: Child,
}

/// Started by `sh`, which ends it when its standard input does: also when the test process dies.
const SUPERVISE: &str = r#"dir=$1; shift
redis-server "$@" >"$dir/log" 2>&1 & pid=$!
echo $pid; cat >/dev/null
kill -CONT $pid; kill -KILL $pid; wait $pid 2>/dev/null; rm -rf "$dir""#;

impl Server {
    /// A server that is loading its data, 3,000 keys with a wait of so many microseconds after each;
    /// the other one is whose data it is.
    pub fn loading(delay: &str) -> (Self, Self) {
        let server = Self::start(&[]);
        let script = "for i = 1, 3000 do redis.call('SET', 'k:' .. i, string.rep('v', 99)) end";
        server.ask::<()>(0, &["EVAL", script, "0"]);
        server.ask::<()>(0, &["SAVE"]);
        let loading = Self::start(&[
            "--dir",
            server.dir.to_str().unwrap(),
            "--key-load-delay",
            delay,
            "--loading-process-events-interval-bytes",
            "1024",
        ]);
        (loading, server)
    }

    /// Starts one with these arguments beside the usual ones.
    pub fn start(args: &[&str]) -> Self {
        Self::start_unready(args).ready()
    }

    /// Waits until it listens.
    pub fn ready(self) -> Self {
        eventually("redis-server listens", || self.listens());
        self
    }

    fn listens(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Kills its process, and waits until nobody listens any more.
    pub fn kill(&self) {
        use nix::sys::signal::{Signal, kill};
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid).unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        eventually("redis-server ends", || !self.listens());
    }

    fn start_unready(args: &[&str]) -> Self {
        let port = ports::free();
        let dir = tempfile::tempdir().unwrap().keep();
        let text = port.to_string();
        let mut all = vec!["--port", text.as_str(), "--bind", "127.0.0.1"];
        all.extend(["--save", "", "--appendonly", "no", "--databases", "200"]);
        all.extend(["--dir", dir.to_str().unwrap()]);
        all.extend(args);
        Self::launch(port, dir.clone(), &all)
    }

    /// Starts one with exactly these arguments, and does not wait for it; its directory goes with it.
    pub fn launch(port: u16, dir: PathBuf, args: &[&str]) -> Self {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISE, "sh"])
            .arg(&dir)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            port,
            dir,
            pid: line.trim().parse().unwrap(),
            supervisor,
        }
    }

    /// Its address with a database.
    pub fn url(&self, db: u16) -> String {
        format!("redis://127.0.0.1:{}/{db}", self.port)
    }

    /// Its address with a database, as a target named `t`.
    pub fn target(&self, db: u16) -> Target {
        target(TargetKind::Redis, &self.url(db))
    }

    /// `` `t` (127.0.0.1:7001) ``, as messages name it.
    pub fn peer(&self) -> String {
        format!("`t` (127.0.0.1:{})", self.port)
    }

    /// A connection beside ferry's.
    pub fn connect(&self, db: u16) -> Connection {
        redis::Client::open(self.url(db))
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// Carries out one command beside ferry.
    #[track_caller]
    pub fn ask<T: FromRedisValue>(&self, db: u16, argv: &[&str]) -> T {
        self.try_ask(db, argv).unwrap()
    }

    /// The same of a server that may be down, or may drop its clients since it gets another role.
    pub fn try_ask<T: FromRedisValue>(&self, db: u16, argv: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        for arg in argv {
            command.arg(*arg);
        }
        let mut link = redis::Client::open(self.url(db))?.get_connection()?;
        command.query(&mut link)
    }

    /// Whether INFO says so, such as `role:master`; false when it does not answer.
    pub fn says(&self, section: &str, line: &str) -> bool {
        self.try_ask::<String>(0, &["INFO", section])
            .is_ok_and(|info| info.contains(line))
    }

    /// Stops its process, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        use nix::sys::signal::{Signal, kill};
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid).unwrap());
        kill(pid, signal).unwrap();
        // the signal is sent, not yet obeyed
        let until = Instant::now() + Duration::from_secs(5);
        let stat = format!("/proc/{}/stat", self.pid);
        while std::fs::read_to_string(&stat).unwrap().contains(") T ") != frozen {
            assert!(Instant::now() < until, "the server does not obey");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Waits until it is so, for at most half a minute.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < until, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The shared server.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&[]))
}

/// A database of the shared server that nobody else uses.
pub fn own_db() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A server that speaks TLS, and the file of its authority; `None` without openssl or without TLS
/// in the server.
pub fn with_tls(dir: &Path) -> Option<(Server, PathBuf)> {
    let openssl = |args: &str| {
        Command::new("openssl")
            .args(args.split_whitespace())
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let made = openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem",
    ) && openssl(
        "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out req.pem",
    ) && openssl(
        "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem",
    );
    if !made {
        return None;
    }
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let tls_port = ports::free();
    let mut server = Server::start(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &path("cert.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    server.port = tls_port;
    Some((server, dir.join("ca.pem")))
}
