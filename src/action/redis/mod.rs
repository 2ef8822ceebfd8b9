//! Redis: commands, statistics, configuration, and the keys of one database saved, put back and
//! flushed behind an identity fence.
//!
//! Every call has a connection of its own ([`client::Link`]), new or opened ahead ([`ahead`]): a
//! blocking command or a timeout cannot stall another step, and nothing has to be repaired
//! afterwards. An address of Sentinels leads to the master that they name at that moment
//! ([`sentinel`]); redirections are followed where the address is one of a Cluster ([`cluster`]), and
//! refused in words elsewhere.

mod address;
mod ahead;
mod argv;
mod backup;
mod client;
mod clients;
mod cluster;
mod command;
mod config;
mod delete;
mod dial;
mod dump;
mod fence;
mod flush;
mod glob;
mod info;
mod keys;
mod latency;
mod meter;
mod monitor;
mod open;
mod pubsub;
mod raw;
mod replication;
mod reply;
mod restore;
mod rights;
mod roundtrip;
mod security;
mod sentinel;
mod sentinels;
mod slowlog;
mod spread;
mod stats;
mod trouble;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

pub use ahead::{Ahead, reach};

use super::Action;

/// All Redis actions.
pub const ACTIONS: &[&dyn Action] = &[
    &command::Command,
    &info::Info,
    &stats::Stats,
    &replication::Replication,
    &sentinels::Sentinel,
    &keys::Keys,
    &latency::Latency,
    &slowlog::Slowlog,
    &clients::Clients,
    &monitor::Monitor,
    &pubsub::Pubsub,
    &security::Security,
    &roundtrip::Roundtrip,
    &config::ConfigGet,
    &config::Config,
    &delete::Delete,
    &backup::Backup,
    &restore::Restore,
    &flush::Flush,
];

/// Configuration whose values are secrets: never shown, never journaled.
const SECRET_SETTINGS: &[&str] = &[
    "requirepass",
    "masterauth",
    "primaryauth",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
];

/// Stands where a secret value would.
const HIDDEN: &str = "(hidden)";

/// A scalar as Redis takes it: numbers as written, `true` and `false` as `yes` and `no`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl de::Visitor<'_> for Scalar {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number")
            }
            fn visit_str<E>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(if value { "yes" } else { "no" }.into()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "RedisText".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
