//! A private PostgreSQL on a free loopback port, shared by the tests of the binary; a database
//! per test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::ports;
use super::server::{Home, done};

/// The password of the role `ferry`.
pub const PASSWORD: &str = "pg-s3cret/@word";
/// The same as it stands in an address.
pub const ENCODED: &str = "pg-s3cret%2F%40word";

/// A running server.
pub struct Postgres {
    pub port: u16,
    _supervisor: Child,
}

fn programs() -> PathBuf {
    let found = Command::new("pg_config").arg("--bindir").output();
    let from_config = found
        .ok()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    from_config
        .into_iter()
        .chain(debian.map(|entry| entry.unwrap().path().join("bin")))
        .find(|dir| dir.join("initdb").is_file())
        .unwrap()
}

impl Postgres {
    /// The one that the tests share.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(&[]))
    }

    /// A server of its own, with `-c` settings.
    pub fn start(settings: &[&str]) -> Self {
        let home = Home::new("postgres");
        let bin = programs();
        let data = home.dir.join("data");
        let password = home.dir.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        done(
            home.command(bin.join("initdb"))
                .args([
                    "-U",
                    "ferry",
                    "-A",
                    "scram-sha-256",
                    "-E",
                    "UTF8",
                    "--no-sync",
                    "--locale=C.UTF-8",
                ])
                .arg(format!("--pwfile={}", password.display()))
                .arg("-D")
                .arg(&data),
        );
        Self::serve(&home, settings)
    }

    /// A standby that follows this one.
    pub fn standby(&self) -> Self {
        let home = Home::new("postgres");
        let port = self.port.to_string();
        done(
            home.command(programs().join("pg_basebackup"))
                .args(["-h", "127.0.0.1", "-U", "ferry", "-p", &port])
                .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
                .arg("-D")
                .arg(home.dir.join("data"))
                .env("PGPASSWORD", PASSWORD),
        );
        Self::serve(&home, &[])
    }

    fn serve(home: &Home, settings: &[&str]) -> Self {
        let bin = programs();
        let data = home.dir.join("data");
        let port = ports::free();
        let mut args = vec!["-D".to_owned(), data.display().to_string()];
        args.extend(["-h", "127.0.0.1", "-p"].map(str::to_owned));
        args.extend([
            port.to_string(),
            "-k".to_owned(),
            home.dir.display().to_string(),
        ]);
        for setting in [
            "fsync=off",
            "max_connections=40",
            "max_prepared_transactions=0",
        ]
        .iter()
        .chain(settings)
        {
            args.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        let supervisor = home.supervise(&bin.join("postgres"), &args, "QUIT");
        let server = Self {
            port,
            _supervisor: supervisor,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !server.ready(&bin) {
            assert!(Instant::now() < until, "postgres did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn ready(&self, bin: &Path) -> bool {
        let port = self.port.to_string();
        let args = ["-q", "-h", "127.0.0.1", "-p", &port];
        Command::new(bin.join("pg_isready"))
            .args(args)
            .status()
            .unwrap()
            .success()
    }

    /// Runs SQL with the server's own client.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let port = self.port.to_string();
        done(
            Command::new("psql")
                .args([
                    "-X",
                    "-q",
                    "-A",
                    "-t",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-h",
                    "127.0.0.1",
                    "-U",
                    "ferry",
                ])
                .args(["-p", &port, "-d", database, "-c", sql])
                .env("PGPASSWORD", PASSWORD),
        )
    }

    /// Makes an empty database and returns its name.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("create database {name}"));
        name
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://ferry:{ENCODED}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}
