//! INFO, read into typed fields, and `redis.info`, which hands them out.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Link;
use super::trouble::{self, Effect};
use super::{reply, rights, spread};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// Which sections.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Sections such as `server`, `memory`, `replication`; all usual ones when left out.
    #[serde(default)]
    sections: Vec<String>,
}

/// The action.
pub(super) struct Info;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    results: &[
        (
            "keyspace",
            "per database, such as keyspace.db0: keys, expires, avg_ttl (milliseconds); null when the server does not say",
        ),
        (
            "nodes",
            "in a Cluster only: the fields of each master, with `node`; beside it stand sums, and what all say alike",
        ),
    ],
    results_open: true,
    ..Spec::of::<Params>("redis.info", "read the server's INFO as typed fields")
};

#[async_trait]
impl Action for Info {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(params) if !params.sections.is_empty() => {
                format!("INFO {}", params.sections.join(" "))
            }
            _ => "INFO".into(),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { sections } = params(&SPEC, call)?;
        let link = Link::open(cx, call).await?;
        let sections: Vec<&str> = sections.iter().map(String::as_str).collect();
        Ok(Value::Object(spread::info(link, &sections).await?))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { sections } = params(&SPEC, call)?;
        let link = Link::open_reading(cx, call).await?;
        let sections: Vec<&str> = sections.iter().map(String::as_str).collect();
        let fields = spread::info(link, &sections).await?;
        Ok(Rehearsed::Read(Value::Object(fields)))
    }
}

/// INFO of the sections, or the usual ones when there are none.
pub(super) async fn read(
    link: &mut Link,
    sections: &[&str],
) -> Result<Map<String, Value>, ActionError> {
    let info = |section: &[&str]| -> Vec<Vec<u8>> {
        [&["INFO"], section]
            .concat()
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect()
    };
    // one by one: several in one command need Redis 7
    let commands: Vec<_> = if sections.is_empty() {
        vec![info(&[])]
    } else {
        sections.iter().map(|section| info(&[section])).collect()
    };
    let mut fields = Map::new();
    for (at, answer) in link
        .ask_many(Effect::Reads, &commands)
        .await?
        .into_iter()
        .enumerate()
    {
        if let redis::Value::ServerError(error) = &answer {
            let detail = error.details().unwrap_or_default();
            let error = trouble::server(link.peer(), Effect::Reads, error.code(), detail);
            return Err(rights::named(error, link, "INFO"));
        }
        let before = fields.len();
        parse(&reply::text(answer), &mut fields);
        if let Some(section) = sections.get(at).filter(|_| fields.len() == before)
            && !section.eq_ignore_ascii_case("keyspace")
        {
            return Err(ActionError::invalid(format!(
                "{} has no INFO section `{section}`",
                link.peer()
            ))
            .hint("server, clients, memory, persistence, stats, replication, cpu, keyspace, ..."));
        }
    }
    // a whole INFO without that section is of a server that has no keys to tell of
    let unsaid = match sections.is_empty() {
        true => Value::Null,
        false => json!({}),
    };
    fields.entry("keyspace").or_insert(unsaid);
    Ok(fields)
}

/// Reads INFO's lines into `fields`.
fn parse(text: &str, fields: &mut Map<String, Value>) {
    for line in text.lines() {
        if let Some(section) = line.strip_prefix('#') {
            if section.trim().eq_ignore_ascii_case("keyspace") {
                fields.entry("keyspace").or_insert_with(|| json!({}));
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let is_db = name
            .strip_prefix("db")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if is_db {
            let keyspace = fields.entry("keyspace").or_insert_with(|| json!({}));
            if let Value::Object(keyspace) = keyspace {
                keyspace.insert(name.into(), parts(value));
            }
        } else if value.split(',').all(|part| part.contains('=')) {
            fields.insert(name.into(), parts(value));
        } else {
            fields.insert(name.into(), typed(name, value));
        }
    }
}

/// `keys=1,expires=0` as an object.
fn parts(value: &str) -> Value {
    value
        .split(',')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), typed(name, value)))
        .collect::<Map<_, _>>()
        .into()
}

/// A number where the value is one; versions and identities stay text whatever they look like.
fn typed(name: &str, value: &str) -> Value {
    const TEXT: &[&str] = &[
        "_version",
        "_id",
        "_sha1",
        "_replid",
        "_replid2",
        "_host",
        "executable",
        "config_file",
        "os",
        "ip",
    ];
    let is_text = TEXT.iter().any(|end| name.ends_with(end));
    let plain = value.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && value.ends_with(|c: char| c.is_ascii_digit())
        && value
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    if is_text || !plain {
        return json!(value);
    }
    if let Ok(n) = value.parse::<i64>() {
        return json!(n);
    }
    value
        .parse::<f64>()
        .map_or_else(|_| json!(value), |n| json!(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_types() {
        let mut fields = Map::new();
        parse(
            "# Server\r\nredis_version:7.2\r\nrun_id:0123456789\r\nuptime_in_seconds:12\r\n\
             mem_fragmentation_ratio:1.50\r\nused_memory_human:1.05M\r\nexecutable:/a:b\r\n\
             used_memory_peak_perc:98.50%\r\nmaster_host:10\r\nempty:\r\n\
             slave0:ip=127.0.0.1,port=7001,state=online\r\n\
             # Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=900\r\ndb11:keys=5,expires=0,avg_ttl=0\r\n",
            &mut fields,
        );
        assert_eq!(
            Value::Object(fields),
            json!({
                "redis_version": "7.2", "run_id": "0123456789", "uptime_in_seconds": 12,
                "mem_fragmentation_ratio": 1.5, "used_memory_human": "1.05M",
                "executable": "/a:b", "used_memory_peak_perc": "98.50%", "master_host": "10",
                "empty": "", "slave0": { "ip": "127.0.0.1", "port": 7001, "state": "online" },
                "keyspace": {
                    "db0": { "keys": 2, "expires": 1, "avg_ttl": 900 },
                    "db11": { "keys": 5, "expires": 0, "avg_ttl": 0 }
                }
            })
        );
    }
}
