//! A plan for readers, before the run: as text and as JSON.
//!
//! Main functions: [`text()`] and [`json()`], both made from the same facts. Texts from the
//! runbook are shown as written, holes unfilled, so no value of a secret can be among them.

mod back;
mod facts;
mod json;
mod text;
mod watched;
mod way_back;

pub use back::{Coverage, Takes, WayBack};
pub use json::json;
pub use text::text;

#[cfg(test)]
pub(crate) mod samples {
    //! A plan made from a text with a small catalog.

    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::plan::Plan;
    use crate::runbook::{self, Catalog, Class, Spec, TargetKind};

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Anything(#[expect(dead_code, reason = "only its shape counts")] Value);

    fn reading(_: &Value) -> Class {
        Class::Reading
    }

    /// The plan of a text that must be right.
    pub(crate) fn plan(text: &str) -> Plan {
        let catalog = Catalog::new(vec![
            Spec {
                short: Some("script"),
                ..Spec::of::<Anything>("shell", "a command")
            },
            Spec {
                short: Some("command"),
                targets: &[TargetKind::Redis],
                class: reading,
                results_open: true,
                ..Spec::of::<Anything>("redis", "a command")
            },
            Spec {
                targets: &[TargetKind::Redis],
                undo_auto: true,
                ..Spec::of::<Anything>("redis.flush", "empties a database")
            },
            Spec {
                targets: &[TargetKind::Redis],
                class: reading,
                ..Spec::of::<Anything>("redis.backup", "saves the keys")
            },
        ]);
        let read = runbook::read(text, &catalog);
        let said: Vec<_> = read.diagnostics.iter().map(|one| &one.message).collect();
        let runbook = read.runbook.unwrap_or_else(|| panic!("{said:?}"));
        let inputs = BTreeMap::from([("strategy".to_owned(), json!("rolling"))]);
        Plan::new(runbook, &read.meaning, inputs, vec!["password".into()])
    }

    /// A plan with a bit of everything.
    pub(crate) fn small() -> Plan {
        plan(
            r#"
runbook: hybrid-cache
title: LocMemCache to Redis
window: { total: 10m, downtime: 5m }
inputs:
  strategy: { default: rolling }
  password: { env: PASSWORD, secret: true }
targets:
  cache: { redis: "redis://127.0.0.1:6379" }
phases:
  verify:
    title: Is everything there?
    estimate: 1m
    steps:
      - id: redis-answers
        redis: PING
        target: cache
        timeout: 5s
        expect: result.reply == "PONG"
  backup:
    needs: [verify]
    estimate: 5m
    steps:
      - { id: keys, redis.backup: { to: keys.dump }, target: cache }
  build:
    needs: [verify]
    steps:
      - { id: compile, shell: make all, estimate: 90s, undo: none, timeout: 5m, idempotent: true }
  flush:
    needs: [backup, build]
    estimate: 10m
    steps:
      - id: flush-cache
        redis.flush: { db: 1, confirm: { role: master } }
        target: cache
        undo: auto
        timeout: 1m
        requires_backup: { step: keys, younger_than: 1h }
        done_when: { redis: DBSIZE, target: cache, expect: result.reply == 0 }
      - id: restart
        for_each: ["1", "2"]
        shell: |
          ./appctl restart "$INSTANCE"
          ./appctl wait
        env: { INSTANCE: "${{ item }}" }
        when: inputs.strategy == "rolling"
        undo: [{ shell: ./appctl back }]
      - { id: tidy, shell: ./tidy }
rollback:
  first: [{ id: stop, shell: ./appctl stop }]
  verify: [{ id: old, redis: PING, target: cache, expect: 'result.reply == "PONG"' }]
"#,
        )
    }
}
