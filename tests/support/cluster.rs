//! A small private Redis Cluster on loopback: three masters, with a replica each where asked. It ends
//! with its handle, or with the test process.

use std::sync::OnceLock;

use ferry::action::Target;
use ferry::runbook::TargetKind;

use super::context::target;
use super::ports;
use super::redis::{Server, eventually};

/// The last slot of each master.
const LAST: [u16; 3] = [5460, 10922, 16383];

/// The nodes.
pub struct Cluster {
    /// Three masters in the order of their slots, then their replicas in the same order.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Three masters.
    pub fn start() -> Self {
        Self::of(3)
    }

    /// Three masters with a replica each.
    pub fn with_replicas() -> Self {
        Self::of(6)
    }

    fn of(count: usize) -> Self {
        let nodes: Vec<Server> = (0..count).map(|_| node()).collect();
        let mut first = 0;
        for (epoch, (node, last)) in (1..).zip(nodes.iter().zip(LAST)) {
            node.ask::<()>(0, &["CLUSTER", "SET-CONFIG-EPOCH", &i32::to_string(&epoch)]);
            let slots: Vec<String> = (first..=last).map(|slot| slot.to_string()).collect();
            let mut argv = vec!["CLUSTER", "ADDSLOTS"];
            argv.extend(slots.iter().map(String::as_str));
            node.ask::<()>(0, &argv);
            first = last + 1;
        }
        for node in &nodes[1..] {
            let port = nodes[0].port.to_string();
            node.ask::<()>(0, &["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        let all = Self { nodes };
        all.settled(count);
        for at in 3..count {
            let id: String = all.nodes[at - 3].ask(0, &["CLUSTER", "MYID"]);
            all.nodes[at].ask::<()>(0, &["CLUSTER", "REPLICATE", &id]);
        }
        eventually("each master has its replica", || {
            all.nodes[..count - 3].iter().all(|node| {
                let info: String = node.ask(0, &["INFO", "replication"]);
                info.contains("state=online")
            }) || count == 3
        });
        all
    }

    /// Waits until every node knows all, and says that the cluster is ok.
    fn settled(&self, count: usize) {
        let known = format!("cluster_known_nodes:{count}\r\n");
        eventually("cluster_state:ok", || {
            self.nodes.iter().all(|node| {
                let info: String = node.ask(0, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&known)
            })
        });
    }

    /// The address with all masters.
    pub fn url(&self) -> String {
        let places: Vec<String> = self.nodes[..3]
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!("redis+cluster://{}", places.join(","))
    }

    /// The address as a target named `t`.
    pub fn target(&self) -> Target {
        target(TargetKind::Redis, &self.url())
    }

    /// The master that has a key's slot.
    pub fn node_of(&self, key: &str) -> &Server {
        let slot: u16 = self.nodes[0].ask(0, &["CLUSTER", "KEYSLOT", key]);
        let at = LAST.iter().position(|last| slot <= *last).unwrap();
        &self.nodes[at]
    }
}

fn node() -> Server {
    let port = ports::with_bus();
    let dir = tempfile::tempdir().unwrap().keep();
    let (text, place) = (port.to_string(), dir.to_str().unwrap().to_owned());
    let args = [
        "--port",
        &text,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        &place,
        "--cluster-enabled",
        "yes",
        "--cluster-config-file",
        "nodes.conf",
        "--cluster-node-timeout",
        "2000",
        "--repl-diskless-sync-delay",
        "0",
    ];
    Server::launch(port, dir, &args).ready()
}

/// One of three masters that is shared: nobody stops a node or moves a slot there.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}
