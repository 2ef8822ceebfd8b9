//! `redis.flush`: empties one database, once it is proven to be the right one.

use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::address::Address;
use super::client::Link;
use super::trouble::Effect;
use super::{info, reply, restore, stats};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::{Cause, Outcome};
use crate::runbook::{Spec, TargetKind};

/// What to empty.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The database to empty; where the target names one, it must be the same.
    db: i64,
    /// What the server must be: anything else is refused before the flush.
    confirm: Confirm,
}

/// The identity fence.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Confirm {
    /// `master` or `replica`.
    role: Role,
    /// The identity of the server process, as `redis.stats` tells it.
    #[serde(default)]
    run_id: Option<String>,
    /// At most so many keys may be in the database.
    #[serde(default)]
    max_keys: Option<u64>,
    /// The target's host, or host:port.
    #[serde(default)]
    host: Option<String>,
}

/// A server's role.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Role {
    /// Takes writes.
    #[serde(alias = "primary")]
    Master,
    /// Follows a master.
    #[serde(alias = "slave")]
    Replica,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica => "replica",
        }
    }
}

/// The action.
pub(super) struct Flush;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    undo_auto: true,
    results: &[
        ("keys_before", "keys in the database before"),
        (
            "keys_after",
            "keys in the database after; others may write meanwhile",
        ),
        ("db", "the database"),
        ("role", "master or replica"),
        ("run_id", "the identity of the server process"),
    ],
    ..Spec::of::<Params>(
        "redis.flush",
        "empty one database, after checking that it is the right one",
    )
};

#[async_trait]
impl Action for Flush {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let place = call.target.as_ref().map_or("", |target| &target.name);
        params::<Params>(&SPEC, call).map_or_else(
            |error| error.message,
            |params| format!("FLUSHDB of database {} of `{place}`", params.db),
        )
    }

    /// Proves that the required backup is of this database, whole and unchanged.
    async fn capture(&self, cx: &Context, call: &Call) -> Result<Option<Value>, ActionError> {
        let params: Params = params(&SPEC, call)?;
        let mut link = Link::open_at(cx, at(call, params.db)?).await?;
        let info = info::read(&mut link, &["server"]).await?;
        backup_of(call, &link, &info).await.map(Some)
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { db, confirm } = params(&SPEC, call)?;
        let mut link = Link::open_at(cx, at(call, db)?).await?;
        let info = info::read(&mut link, &["server", "replication"]).await?;
        let before = size(&mut link).await?;
        let run_id = info
            .get("run_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let role = stats::role(&info);
        fence(&link, &confirm, role, &run_id, before)?;
        if let Some(backup) = &call.backup {
            same_server(&link, backup, &run_id)?;
        }
        link.patient();
        let version = info.get("redis_version").and_then(Value::as_str);
        if takes_sync(version.unwrap_or_default()) {
            link.ask(Effect::Changes, &["FLUSHDB", "SYNC"]).await?;
        } else {
            link.ask(Effect::Changes, &["FLUSHDB"]).await?;
        }
        let after = size(&mut link).await.map_err(|mut error| {
            error.outcome = Outcome::Applied;
            error.message = format!("the database is flushed, but then {}", error.message);
            error.retryable(false)
        })?;
        Ok(json!({
            "keys_before": before,
            "keys_after": after,
            "db": db,
            "role": role,
            "run_id": run_id,
        }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { db, confirm } = params(&SPEC, call)?;
        let mut link = Link::open_reading_at(cx, at(call, db)?).await?;
        let info = info::read(&mut link, &["server", "replication"]).await?;
        let keys = size(&mut link).await?;
        let run_id = info
            .get("run_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        fence(&link, &confirm, stats::role(&info), run_id, keys)?;
        let would = format!(
            "FLUSHDB would remove {keys} keys: all of database {db} of {}",
            link.peer()
        );
        let facts = json!({ "keys": keys, "db": db, "role": stats::role(&info) });
        Ok(Simulated::exactly(would, facts).into())
    }

    /// Puts back from the backup what is not there now; what others wrote since is kept.
    async fn restore(
        &self,
        cx: &Context,
        call: &Call,
        captured: &Value,
    ) -> Result<Value, ActionError> {
        let params: Params = params(&SPEC, call)?;
        put_back(cx, call, captured, params.db, &|_| true).await
    }
}

/// The undo that is shared with `redis.delete`.
pub(super) async fn put_back(
    cx: &Context,
    call: &Call,
    captured: &Value,
    db: i64,
    wanted: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Value, ActionError> {
    let path = PathBuf::from(captured["path"].as_str().unwrap_or_default());
    let summary = restore::checked(&path, captured["sha256"].as_str()).await?;
    let mut link = Link::open_at(cx, at(call, db)?).await?;
    let counts = restore::put_back(cx, &mut link, &path, false, wanted).await?;
    Ok(json!({
        "keys": summary.keys,
        "restored": counts.restored,
        "kept": counts.kept,
        "sha256": summary.sha256,
    }))
}

/// The backup that `undo: auto` will take, once it is proven to fit the server at `link`.
pub(super) async fn backup_of(
    call: &Call,
    link: &Link,
    info: &Map<String, Value>,
) -> Result<Value, ActionError> {
    let Some(backup) = &call.backup else {
        return Err(
            ActionError::invalid(format!("`undo: auto` of `{}` needs a backup", call.key))
                .hint("name a `redis.backup` step in `requires_backup`, or write `undo: none`"),
        );
    };
    let run_id = info
        .get("run_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    same_server(link, backup, run_id)?;
    let Some(path) = backup["path"].as_str() else {
        return Err(ActionError::invalid(
            "the step that `requires_backup` names has no `path` in its result",
        ));
    };
    restore::checked(path.as_ref(), backup["sha256"].as_str()).await?;
    Ok(json!({
        "path": path,
        "sha256": backup["sha256"],
        "db": link.address.db,
        "run_id": run_id,
    }))
}

/// The call's target with the database of the step.
fn at(call: &Call, db: i64) -> Result<Address, ActionError> {
    let mut address = Address::of(call)?;
    if address.db_named && address.db != db {
        return Err(ActionError::invalid(format!(
            "`{}` names database {db}, but {} names database {}",
            call.key, address.peer, address.db
        ))
        .hint("name the same database in both, or none in the target"));
    }
    address.db = db;
    Ok(address)
}

async fn size(link: &mut Link) -> Result<u64, ActionError> {
    let size = link.ask(Effect::Reads, &["DBSIZE"]).await?;
    Ok(reply::int(&size)
        .and_then(|keys| u64::try_from(keys).ok())
        .unwrap_or(0))
}

/// Whether FLUSHDB knows SYNC, without which `lazyfree-lazy-user-flush` decides.
fn takes_sync(version: &str) -> bool {
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(6), Some(2))
}

/// Refuses a server that is not the one that was meant.
fn fence(
    link: &Link,
    confirm: &Confirm,
    role: &str,
    run_id: &str,
    keys: u64,
) -> Result<(), ActionError> {
    let mut wrong = Vec::new();
    if role != confirm.role.name() {
        wrong.push(format!("its role is {role}, not {}", confirm.role.name()));
    }
    if let Some(wanted) = confirm.run_id.as_deref().filter(|wanted| *wanted != run_id) {
        wrong.push(format!("its run_id is {run_id}, not {wanted}"));
    }
    let (host, place) = (&link.address.host, &link.address.place);
    if let Some(wanted) = confirm
        .host
        .as_ref()
        .filter(|wanted| *wanted != host && *wanted != place)
    {
        wrong.push(format!("its host is {place}, not {wanted}"));
    }
    if let Some(most) = confirm.max_keys.filter(|most| keys > *most) {
        wrong.push(format!("it holds {keys} keys, more than {most}"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(refused(format!(
        "{}, database {}, is not what was confirmed: {}; nothing was done",
        link.peer(),
        link.address.db,
        wrong.join("; ")
    ))
    .hint("check the target's address; change `confirm` only when you know why"))
}

fn refused(message: String) -> ActionError {
    ActionError::new(Cause::Failed, Outcome::NotApplied, message)
}

/// Refuses when the required backup is of another server or database.
pub(super) fn same_server(link: &Link, backup: &Value, run_id: &str) -> Result<(), ActionError> {
    let db = link.address.db;
    let of_db = backup["db"].as_i64();
    let of_run = backup["run_id"].as_str();
    if of_db == Some(db) && of_run == Some(run_id) {
        return Ok(());
    }
    let shown = |db: Option<i64>| db.map_or("none".to_owned(), |db| db.to_string());
    Err(refused(format!(
        "the backup is of database {} of server {}, but {} is database {db} of server {run_id}; \
         nothing was done",
        shown(of_db),
        of_run.unwrap_or("none"),
        link.peer(),
    ))
    .hint("back up this database; a server that was restarted since counts as another one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_is_known_from_6_2() {
        assert!(takes_sync("7.0.15") && takes_sync("6.2.0"));
        assert!(!takes_sync("6.0.16") && !takes_sync(""));
    }
}
