//! A private Redis master with two replicas, watched by three Sentinels that fail over quickly: a
//! second to see that the master is down. All of it on loopback, and all of it ends with its handle,
//! or with the test process.

use std::sync::OnceLock;

use ferry::action::Target;
use ferry::runbook::TargetKind;

use super::context::target;
use super::ports;
use super::redis::{Server, eventually};

/// What the Sentinels call the master.
pub const MASTER: &str = "mymaster";

/// The servers and the Sentinels that watch them.
pub struct Watched {
    /// The first was the master to begin with.
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
}

impl Watched {
    /// Starts all of them, and waits until they know each other.
    pub fn start() -> Self {
        Self::with("")
    }

    /// The same with more lines in the configuration of each Sentinel.
    pub fn with(lines: &str) -> Self {
        let quick = [
            "--repl-diskless-sync-delay",
            "0",
            "--repl-ping-replica-period",
            "1",
        ];
        let first = Server::start(&quick);
        let of = format!("127.0.0.1 {}", first.port);
        let replica = || Server::start(&[&quick[..], &["--replicaof", of.as_str()]].concat());
        let servers = vec![replica(), replica()];
        eventually("both replicas are in step", || {
            let info = first.ask::<String>(0, &["INFO", "replication"]);
            info.matches("state=online").count() == 2
        });
        let servers: Vec<Server> = std::iter::once(first).chain(servers).collect();
        let sentinels = (0..3).map(|_| sentinel(servers[0].port, lines)).collect();
        let all = Self { servers, sentinels };
        eventually("the sentinels know each other and the replicas", || {
            all.sentinels.iter().all(|sentinel| {
                let known = |what: &str| -> usize {
                    let list: Vec<redis::Value> = sentinel.ask(0, &["SENTINEL", what, MASTER]);
                    list.len()
                };
                known("SENTINELS") == 2 && known("REPLICAS") == 2
            })
        });
        all
    }

    /// The address with all three Sentinels.
    pub fn url(&self) -> String {
        let places: Vec<String> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
            .collect();
        format!("redis+sentinel://{}/{MASTER}", places.join(","))
    }

    /// The address as a target named `t`.
    pub fn target(&self) -> Target {
        target(TargetKind::Redis, &self.url())
    }

    /// The server at a port.
    pub fn server(&self, port: u16) -> &Server {
        self.servers.iter().find(|one| one.port == port).unwrap()
    }

    /// The port that all Sentinels that run name as the master's, once they agree.
    pub fn master(&self) -> u16 {
        let mut named = 0;
        eventually("the sentinels agree", || {
            let mut ports = self.sentinels.iter().filter_map(master_of);
            named = ports.next().unwrap_or(0);
            named != 0 && ports.all(|port| port == named)
        });
        named
    }

    /// Kills the server that is the master now; its port.
    pub fn kill_master(&self) -> u16 {
        let port = self.master();
        self.server(port).kill();
        port
    }

    /// Has the Sentinels make another server the master while the old one goes on; both ports.
    pub fn hand_over(&self) -> (u16, u16) {
        let old = self.master();
        self.sentinels[0].ask::<()>(0, &["SENTINEL", "FAILOVER", MASTER]);
        (old, self.failed_over(old))
    }

    /// Waits until all Sentinels name another master than `old`, and it says itself that it is one.
    pub fn failed_over(&self, old: u16) -> u16 {
        let mut port = old;
        eventually("a failover", || {
            port = self.master();
            port != old && self.server(port).says("replication", "role:master")
        });
        port
    }
}

/// `None` from one that does not answer.
fn master_of(sentinel: &Server) -> Option<u16> {
    let asked = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
    let (_, port): (String, u16) = sentinel.try_ask(0, &asked).ok()?;
    Some(port)
}

/// A Sentinel that watches the server at `master`, with more lines of configuration.
pub fn sentinel(master: u16, lines: &str) -> Server {
    let port = ports::free();
    let dir = tempfile::tempdir().unwrap().keep();
    let file = dir.join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\n\
         sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds {MASTER} 1000\n\
         sentinel failover-timeout {MASTER} 3000\n{lines}\n",
        dir.display()
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    Server::launch(port, dir, &[&file, "--sentinel"]).ready()
}

/// One that is shared: nobody kills or changes anything there.
pub fn shared() -> &'static Watched {
    static SHARED: OnceLock<Watched> = OnceLock::new();
    SHARED.get_or_init(Watched::start)
}
