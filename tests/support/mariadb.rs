//! A private MariaDB on a free loopback port, shared by the tests of the binary; a database per
//! test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::ports;
use super::server::{Home, done};

/// The password of the user `ferry`.
pub const PASSWORD: &str = "my-s3cret-word";

/// A running server.
pub struct MariaDb {
    pub port: u16,
    _supervisor: Child,
}

impl MariaDb {
    /// The one that the tests share.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<MariaDb> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// A server of its own.
    pub fn start() -> Self {
        let home = Home::new("mysql");
        let data = home.dir.join("data");
        done(
            home.command("mariadb-install-db")
                .args([
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ])
                .arg(format!("--datadir={}", data.display())),
        );
        let port = ports::free();
        let socket = home.dir.join("s");
        let args = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", data.display()),
            format!("--socket={}", socket.display()),
            format!("--pid-file={}", home.dir.join("pid").display()),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--innodb-buffer-pool-size=32M".to_owned(),
        ];
        let program = [
            "/usr/sbin/mariadbd",
            "/usr/bin/mariadbd",
            "/usr/libexec/mariadbd",
        ]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.is_file())
        .unwrap();
        let supervisor = home.supervise(&program, &args, "TERM");
        let until = Instant::now() + Duration::from_secs(60);
        let sql = format!(
            "create user 'ferry'@'%' identified by '{PASSWORD}'; grant all on *.* to 'ferry'@'%'"
        );
        while !root(&socket, &sql) {
            assert!(Instant::now() < until, "mariadb did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Self {
            port,
            _supervisor: supervisor,
        }
    }

    /// Runs SQL with the server's own client.
    pub fn client(&self, database: &str, sql: &str) -> String {
        done(
            Command::new("mariadb")
                .args([
                    "--no-defaults",
                    "--protocol=tcp",
                    "--host=127.0.0.1",
                    "--user=ferry",
                    "-N",
                    "-B",
                ])
                .args([&format!("--port={}", self.port), database, "-e", sql])
                .env("MYSQL_PWD", PASSWORD),
        )
    }

    /// Makes an empty database and returns its name.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.client("mysql", &format!("create database {name}"));
        name
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "mysql://ferry:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}

fn root(socket: &Path, sql: &str) -> bool {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "-uroot", "-e", sql])
        .arg(format!("--socket={}", socket.display()))
        .output()
        .unwrap();
    output.status.success()
}
