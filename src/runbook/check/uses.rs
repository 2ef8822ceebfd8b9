//! Keys and actions that only make sense in company: `undo: auto`, `requires_backup`, restores from
//! a backup step, `snapshot_equals`.

use super::super::catalog::Catalog;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{ActionUse, Runbook, Step, Undo};
use super::super::node::Span;
use super::names::Names;

/// Actions whose automatic undo is the backup that they required.
const UNDONE_FROM_BACKUP: &[&str] = &["redis.flush", "redis.delete"];

/// Restoring actions that take the id of the step that made the backup.
const RESTORES: &[(&str, &str)] = &[
    ("file.restore", "file.backup"),
    ("redis.restore", "redis.backup"),
];

pub(super) fn check(
    runbook: &Runbook,
    catalog: &Catalog,
    names: &Names<'_>,
    problems: &mut Problems,
) {
    let mut uses = Uses {
        runbook,
        catalog,
        names,
        problems,
    };
    for (_, step) in runbook.steps() {
        uses.step(step);
        uses.snapshots(step, false);
        if let Undo::Steps(undo) = &step.undo {
            for part in undo {
                uses.step(part);
                uses.snapshots(part, false);
                uses.no_undo(part, "an undo step");
            }
        }
    }
    for guard in &runbook.guards {
        uses.proof(&guard.call);
    }
    let rollback = &runbook.rollback;
    for (part, proves) in [
        (&rollback.first, false),
        (&rollback.last, false),
        (&rollback.verify, true),
        (&rollback.notify, false),
    ] {
        for step in part {
            uses.step(step);
            uses.snapshots(step, proves);
            uses.no_undo(step, "a step of `rollback`");
        }
    }
}

struct Uses<'r, 'p> {
    runbook: &'r Runbook,
    catalog: &'r Catalog,
    names: &'r Names<'r>,
    problems: &'p mut Problems,
}

impl Uses<'_, '_> {
    fn step(&mut self, step: &Step) {
        if let Undo::Auto(span) = step.undo {
            self.auto(step, span);
        }
        self.backup(step);
        self.restore(step);
    }

    fn auto(&mut self, step: &Step, span: Span) {
        let key = step.action.key.as_str();
        let Some(spec) = self.catalog.get(key) else {
            return;
        };
        if !spec.undo_auto {
            let reads = !step.changes();
            let message = match reads {
                true => format!("`undo: auto` on `{key}`, which only reads here"),
                false => format!("`{key}` does not know how to take itself back"),
            };
            let help = match reads {
                true => "remove it: there is nothing to take back",
                false => {
                    "write the undo as steps, such as `undo: [{ shell: COMMAND }]`, or `undo: none`"
                }
            };
            let found = Diagnostic::error("F026", span, message);
            self.problems.push(found.help(help));
        } else if UNDONE_FROM_BACKUP.contains(&key) && step.requires_backup.is_none() {
            let message = format!(
                "`undo: auto` of `{key}` restores the backup that it required, and it requires none"
            );
            let found = Diagnostic::error("F026", span, message)
                .also(step.action.key.span, "what it removes is gone")
                .help("add `requires_backup: { step: ID }` with the `redis.backup` step, or say `undo: none`");
            self.problems.push(found);
        }
    }

    /// Undoing an undo is nothing that is ever done.
    fn no_undo(&mut self, step: &Step, what: &str) {
        if let Undo::Steps(_) | Undo::Auto(_) = step.undo {
            let message = format!("{what} has an `undo` of its own");
            let found = Diagnostic::error("F026", step.id.span, message);
            self.problems
                .push(found.help("remove it: going back is not gone back on"));
        }
    }

    fn backup(&mut self, step: &Step) {
        let Some(required) = &step.requires_backup else {
            return;
        };
        let name = &required.step;
        let Some(other) = self.find(name) else {
            self.unknown_step(name.span, name, "`requires_backup` names");
            return;
        };
        let key = other.action.key.as_str();
        let other_id = other.id.span;
        if key.is_empty() {
            return;
        }
        let wanted = match step.action.key.as_str() {
            redis if UNDONE_FROM_BACKUP.contains(&redis) => Some("redis.backup"),
            _ => None,
        };
        let good = wanted.map_or(key.ends_with(".backup"), |wanted| key == wanted);
        // a backup may also be made by a command; that it is one is the author's word
        if good || (wanted.is_none() && key == "shell") {
            return;
        }
        let message = format!(
            "`requires_backup` names `{}`, which is a `{key}` step",
            **name
        );
        let wanted = wanted.unwrap_or("*.backup");
        let found = Diagnostic::error("F027", name.span, message)
            .also(other_id, "no backup")
            .help(format!("name a `{wanted}` step that runs before"));
        self.problems.push(found);
    }

    fn restore(&mut self, step: &Step) {
        let key = step.action.key.as_str();
        let Some((_, maker)) = RESTORES.iter().find(|(restore, _)| *restore == key) else {
            return;
        };
        let written = step.action.params.as_written();
        let Some(from) = written.get("from").and_then(|from| from.as_str()) else {
            return;
        };
        if from.contains(['/', '.']) || from.contains("${{") {
            return;
        }
        let span = step.action.key.span;
        let Some(other) = self.find(from) else {
            self.unknown_step(span, from, &format!("`{key}` restores from"));
            return;
        };
        let made = other.action.key.as_str();
        if !made.is_empty() && made != *maker {
            let message = format!("`{key}` restores from `{from}`, which is a `{made}` step");
            let found = Diagnostic::error("F027", span, message).also(other.id.span, "no backup");
            self.problems
                .push(found.help(format!("name a `{maker}` step")));
        }
    }

    fn snapshots(&mut self, step: &Step, proves: bool) {
        if step.action.key.as_str() != "snapshot_equals" {
            return;
        }
        let span = step.action.key.span;
        if !proves {
            self.proof(&step.action);
        }
        let written = step.action.params.as_written();
        let names = written.get("names").and_then(|names| names.as_array());
        for name in names.into_iter().flatten().filter_map(|name| name.as_str()) {
            let known = || self.runbook.snapshots.iter().map(|def| def.name.as_str());
            if known().any(|known| known == name) || self.problems.is_broken("snapshot", name) {
                continue;
            }
            let near = self.problems.did_you_mean(name, known());
            let help = near.or_else(|| Some("declare it in `snapshots`".into()));
            let message = format!("unknown snapshot `{name}`");
            self.problems
                .push(Diagnostic::error("F012", span, message).maybe_help(help));
        }
    }

    fn proof(&mut self, call: &ActionUse) {
        if call.key.as_str() == "snapshot_equals" {
            let message = "`snapshot_equals` outside `rollback.verify`";
            let found = Diagnostic::error("F028", call.key.span, message);
            self.problems.push(found.help(
                "it proves that a rollback worked; elsewhere compare `snapshots.before.NAME` in an `expect`",
            ));
        }
    }

    fn find(&self, id: &str) -> Option<&Step> {
        let (phase, step) = self.names.steps.get(id).copied()?;
        self.runbook.phases.get(phase)?.steps.get(step)
    }

    fn unknown_step(&mut self, span: Span, name: &str, what: &str) {
        let known = self.runbook.steps().map(|(_, step)| step.id.as_str());
        let near = self.problems.did_you_mean(name, known);
        let message = format!("{what} unknown step `{name}`");
        self.problems
            .push(Diagnostic::error("F012", span, message).maybe_help(near));
    }
}
