//! Which targets are worth asking before anything starts: those that the run is sure to need as they
//! stand now. [`Plan::needs_now`] only chooses; nothing is asked here.

use std::collections::HashSet;

use super::Plan;
use crate::runbook::TargetKind;
use crate::runbook::model::{Items, Step};

impl Plan {
    /// Targets that keep a connection, each with the index of the step that is the first to use it,
    /// in plan order. Left out are those whose first use
    /// - stands behind a step that changes something, which may be what brings them up;
    /// - is a step with `retry`, or one that waits: the author expects that they are not there yet.
    ///
    /// A use that may never come (`when`, `done_when`, a list that is computed) or whose failure is
    /// tolerated is no first use.
    pub fn needs_now(&self) -> Vec<(&str, u32)> {
        let mut settled = HashSet::new();
        let mut needed = Vec::new();
        for phase in self.graph.order() {
            let sure = self.runbook.phases[phase].when.is_none();
            for (n, step) in self.runbook.phases[phase].steps.iter().enumerate() {
                let at = self.step_of(phase, n);
                let uses = sure_use(step).filter(|name| sure && self.keeps_connection(name));
                if let Some(name) = uses
                    && settled.insert(name)
                    && step.retry.is_none()
                {
                    needed.push((name, at));
                }
                settled.extend(awaited(step));
                if step.changes() && !step.leaves_nothing() {
                    return needed;
                }
            }
        }
        needed
    }

    fn keeps_connection(&self, name: &str) -> bool {
        let targets = &self.runbook.targets;
        targets.iter().any(|target| {
            *target.name == name
                && matches!(
                    target.kind,
                    TargetKind::Redis
                        | TargetKind::Postgres
                        | TargetKind::Mysql
                        | TargetKind::Sqlite
                )
        })
    }
}

/// The target that a step cannot do without, if there is one.
fn sure_use(step: &Step) -> Option<&str> {
    let nothing = match step.for_each.as_ref().map(|for_each| &for_each.items) {
        None => false,
        Some(Items::Listed(items)) => items.is_empty(),
        Some(Items::Computed(_)) => true,
    };
    if nothing || step.when.is_some() || step.tolerate {
        return None;
    }
    let call = match &step.done_when {
        // what shows as done already is left out: only the look is sure
        Some(probe) => &probe.call,
        None => &step.action,
    };
    call.target.as_ref().map(|name| name.value.as_str())
}

/// The target that a step waits for.
fn awaited(step: &Step) -> Option<&str> {
    let probe = step.then_wait.as_ref()?.probe.as_ref()?;
    let name = probe.call.target.as_ref()?;
    Some(&name.value)
}

#[cfg(test)]
mod tests {
    use crate::action::Registry;
    use crate::plan::Plan;
    use crate::runbook::{self, model::InputValues};

    /// What is asked, and for which step, in a runbook with these phases.
    fn needed(phases: &str) -> Vec<String> {
        let text = format!(
            "runbook: demo\ninputs: {{ on: {{ default: \"yes\" }}, hosts: {{ type: list, default: [] }} }}\ntargets:\n  \
             a: {{ redis: \"redis://h\" }}\n  b: {{ postgres: \"postgres://u@h/d\" }}\n  \
             c: {{ sqlite: \"sqlite:f\" }}\n  w: {{ http: \"http://h\" }}\nphases:\n{phases}"
        );
        let read = runbook::read(&text, &Registry::all().catalog());
        let Some(runbook) = read.runbook else {
            panic!("{:?}", read.diagnostics)
        };
        let plan = Plan::new(runbook, &read.meaning, InputValues::default(), Vec::new());
        let name = |(name, at): (&str, u32)| format!("{name} for {}", *plan.step(at).id);
        plan.needs_now().into_iter().map(name).collect()
    }

    fn steps(steps: &[&str]) -> Vec<String> {
        let steps: String = steps
            .iter()
            .map(|step| format!("      - {{ {step} }}\n"))
            .collect();
        needed(&format!("  p:\n    steps:\n{steps}"))
    }

    #[test]
    fn what_the_run_begins_with_is_asked_once_for_each_target() {
        let found = steps(&[
            "id: look, http: GET /, target: w",
            "id: ping, redis: PING, target: a",
            "id: again, redis: PING, target: a",
            "id: rows, sql: select 1, target: b",
            "id: file, sql: select 1, target: c",
        ]);
        assert_eq!(found, ["a for ping", "b for rows", "c for file"]);
    }

    #[test]
    fn a_change_may_bring_up_what_comes_later_but_not_what_it_needs_itself() {
        let found = steps(&[
            "id: set, redis: SET k v, target: a, undo: none",
            "id: rows, sql: select 1, target: b",
        ]);
        assert_eq!(found, ["a for set"]);
        // copies and the author's word bring nothing up
        let found = steps(&[
            "id: copy, redis.backup: { to: f }, target: a",
            "id: tell, shell: \"true\", read_only: true",
            "id: rows, sql: select 1, target: b",
        ]);
        assert_eq!(found, ["a for copy", "b for rows"]);
    }

    #[test]
    fn the_order_is_that_of_the_needs() {
        let found = needed(
            "  later:\n    needs: [first]\n    steps:\n      - { id: ping, redis: PING, target: a }\n  \
             first:\n    steps:\n      - { id: start, shell: \"true\", undo: none }\n",
        );
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_is_waited_for_need_not_be_there_yet() {
        for first in [
            "id: up, redis: PING, target: a, retry: { limit: 3 }",
            "id: up, shell: \"true\", read_only: true, then_wait: { redis: PING, target: a, expect: result.reply == \"PONG\", within: 5s }",
        ] {
            let found = steps(&[first, "id: ping, redis: PING, target: a"]);
            assert_eq!(found, Vec::<String>::new(), "{first}");
        }
    }

    #[test]
    fn a_use_that_may_not_come_or_may_fail_is_no_first_use() {
        for first in [
            "id: may, redis: PING, target: a, when: inputs.on == \"no\"",
            "id: may, redis: PING, target: a, tolerate: true",
            "id: may, redis: PING, target: a, for_each: []",
            "id: may, redis: PING, target: a, for_each: inputs.hosts",
        ] {
            assert_eq!(steps(&[first]), Vec::<String>::new(), "{first}");
            let found = steps(&[first, "id: ping, redis: PING, target: a"]);
            assert_eq!(found, ["a for ping"], "{first}");
        }
        let found = needed(
            "  p:\n    when: inputs.on == \"no\"\n    steps:\n      - { id: ping, redis: PING, target: a }\n",
        );
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn of_a_step_that_may_be_done_only_the_look_is_sure() {
        let found = steps(&[
            "id: set, redis: SET k v, target: a, undo: none, done_when: { sql: select 1, target: b, expect: result.row_count == 1 }",
        ]);
        assert_eq!(found, ["b for set"]);
    }
}
