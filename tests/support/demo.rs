//! The demo world as a fixture: [`DemoWorld`], built on free ports and stopped on drop.
//! Knows the example binary's command line and nothing of ferry.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// A running world; everything in it is stopped on drop.
pub struct DemoWorld {
    dir: tempfile::TempDir,
    /// What `world.env` says.
    pub env: BTreeMap<String, String>,
}

/// Path of the example binary; built first when `cargo test` was told to build the suite alone.
pub fn demo_app() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let ferry = Path::new(env!("CARGO_BIN_EXE_ferry"));
        let path = ferry.with_file_name("examples").join("demo-app");
        if !path.exists() {
            let profile = ferry.parent().expect("it lies in a profile's directory");
            let target = profile.parent().expect("that lies in the target directory");
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--locked", "--example", "demo-app"]);
            cargo.arg("--manifest-path");
            cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
            cargo.arg("--target-dir").arg(target);
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            assert_ok(&cargo.output().expect("cargo starts"));
        }
        path
    })
}

impl DemoWorld {
    /// Builds and starts a world of its own.
    pub fn up(instances: u16) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut world = Self {
            dir,
            env: BTreeMap::new(),
        };
        let up = world.run(&["world", "up", "--instances", &instances.to_string()]);
        assert_ok(&up);
        let text = std::fs::read_to_string(world.path("world.env")).expect("world.env");
        world.env = text
            .lines()
            .filter_map(|l| l.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        world
    }

    /// A path below the world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the example binary on this world.
    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(demo_app())
            .arg("--world")
            .arg(self.dir.path())
            .args(args)
            .output()
            .expect("demo-app starts")
    }

    /// An operator's script, called from elsewhere and with no help from the environment.
    pub fn ops(&self, script: &str, args: &[&str]) -> Output {
        Command::new(self.path("ops").join(script))
            .args(args)
            .env_remove("DEMO_WORLD")
            .current_dir("/")
            .output()
            .expect("the script starts")
    }

    /// An operator's script that has to succeed; what it printed.
    pub fn must(&self, script: &str, args: &[&str]) -> String {
        let output = self.ops(script, args);
        assert_ok(&output);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The fingerprint of the world.
    pub fn digest(&self) -> Value {
        let output = self.run(&["world", "digest"]);
        assert_ok(&output);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The port of the front.
    pub fn port(&self) -> u16 {
        self.env["INSTANCE_BASE_PORT"].parse().expect("a port")
    }

    /// Status and whole answer of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        request(
            self.port(),
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
        )
    }

    /// Status of a login as `testuser`.
    pub fn login(&self, password: &str) -> u16 {
        let body = format!(r#"{{"username":"testuser","password":"{password}"}}"#);
        let head = format!(
            "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        request(self.port(), &format!("{head}\r\n\r\n{body}")).0
    }

    /// The processes that the world has on record.
    pub fn pids(&self) -> Vec<i64> {
        let records = std::fs::read_dir(self.path("run")).expect("run directory");
        records
            .map(|e| e.expect("entry").path())
            .filter(|p| p.extension().is_some_and(|x| x == "json"))
            .map(|p| std::fs::read_to_string(p).expect("record"))
            .map(|t| {
                serde_json::from_str::<Value>(&t).expect("JSON")["pid"]
                    .as_i64()
                    .expect("pid")
            })
            .collect()
    }
}

impl Drop for DemoWorld {
    fn drop(&mut self) {
        let _ = self.run(&["world", "down"]);
    }
}

/// Sends one request and reads the whole answer.
pub fn request(port: u16, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the front accepts");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a status"), answer)
}

/// Shows what was printed when a command failed.
pub fn assert_ok(output: &Output) {
    assert!(
        output.status.success(),
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
