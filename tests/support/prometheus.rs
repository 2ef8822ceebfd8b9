//! A private Prometheus that scrapes a prometheus-redis-exporter five times a second, which asks a
//! private redis-server; all on free loopback ports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::ports;
use super::redis::Server;
use super::server::Home;

/// The three of them.
pub struct Rig {
    pub port: u16,
    /// Where the exporter serves.
    pub exporter: u16,
    _redis: Server,
    exporting: Option<Child>,
    _serving: Child,
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not installed, see `scripts/test.sh`"))
}

impl Rig {
    /// The one that the tests share; it is only read.
    pub fn shared() -> &'static Self {
        static RIG: OnceLock<Rig> = OnceLock::new();
        RIG.get_or_init(Self::start)
    }

    /// One of its own, with a first sample of `redis_up`.
    pub fn start() -> Self {
        let redis = Server::start(&[]);
        let exporter = ports::free();
        let home = Home::new("nobody");
        let args = [
            format!("-redis.addr=redis://127.0.0.1:{}", redis.port),
            format!("-web.listen-address=127.0.0.1:{exporter}"),
        ];
        let exporting = home.supervise(&program("prometheus-redis-exporter"), &args, "TERM");
        let home = Home::new("nobody");
        let (port, serving) = serve(&home, exporter);
        let rig = Self {
            port,
            exporter,
            _redis: redis,
            exporting: Some(exporting),
            _serving: serving,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !rig.says("redis_up", r#","1"]"#) {
            assert!(Instant::now() < until, "prometheus has no sample");
            std::thread::sleep(Duration::from_millis(50));
        }
        rig
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends the exporter.
    pub fn silence(&mut self) {
        if let Some(mut exporting) = self.exporting.take() {
            drop(exporting.stdin.take());
            let _ = exporting.wait();
        }
    }

    /// Whether the answer to a query of one word has this text in it.
    fn says(&self, query: &str, text: &str) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let head = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        stream.write_all(head.as_bytes()).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains(text)
    }
}

fn serve(home: &Home, exporter: u16) -> (u16, Child) {
    let port = ports::free();
    let config = home.dir.join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
         scrape_configs:\n\
         - {{ job_name: redis, static_configs: [{{ targets: ['127.0.0.1:{exporter}'] }}] }}\n"
    );
    std::fs::write(&config, text).unwrap();
    let file = |path: &Path| path.display().to_string();
    let args = [
        format!("--config.file={}", file(&config)),
        format!("--storage.tsdb.path={}", file(&home.dir.join("data"))),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--log.level=error".to_owned(),
    ];
    (port, home.supervise(&program("prometheus"), &args, "TERM"))
}
