//! Names: each once, whatever its case and whatever letters look alike; and who answers to which.

use std::collections::HashMap;

use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{Environment, Runbook, Sp, Step, Undo};
use super::super::node::Span;

/// Where each step id stands: phase index and place in the phase.
pub(super) struct Names<'r> {
    pub(super) steps: HashMap<&'r str, (usize, usize)>,
}

/// Reports names that stand twice, or that people cannot tell apart.
pub(super) fn check<'r>(runbook: &'r Runbook, problems: &mut Problems) -> Names<'r> {
    let mut steps = HashMap::new();
    let mut ids = Alike::new(
        "step",
        runbook.phases.iter().map(|phase| phase.steps.len()).sum(),
    );
    for (phase_at, phase) in runbook.phases.iter().enumerate() {
        for (step_at, step) in phase.steps.iter().enumerate() {
            ids.step(step, problems);
            steps.entry(step.id.as_str()).or_insert((phase_at, step_at));
        }
    }
    runbook
        .rollback
        .steps()
        .for_each(|step| ids.step(step, problems));
    // what is kept of their looks has their name
    for guard in &runbook.guards {
        ids.see_as(&guard.name, "guard", problems);
    }
    let mut phases = Alike::new("phase", runbook.phases.len());
    for phase in &runbook.phases {
        phases.see(&phase.name, problems);
    }
    let mut targets = Alike::new("target", runbook.targets.len());
    for target in &runbook.targets {
        targets.see(&target.name, problems);
    }
    let mut environments = Alike::new("environment", runbook.environments.len());
    for environment in &runbook.environments {
        environments.see(&environment.name, problems);
        shared(runbook, environment, problems);
    }
    let mut inputs = Alike::new("input", runbook.inputs.len());
    for input in &runbook.inputs {
        inputs.see(&input.name, problems);
    }
    let mut roles = Alike::new("role", runbook.people.len());
    for role in &runbook.people {
        roles.see(&role.name, problems);
    }
    for_people(runbook, problems);
    Names { steps }
}

/// What an environment shares has to be there.
fn shared(runbook: &Runbook, environment: &Environment, problems: &mut Problems) {
    let targets = runbook.targets.iter().map(|target| target.name.as_str());
    let steps = runbook.steps().map(|(_, step)| step.id.as_str());
    let known: Vec<&str> = targets.chain(steps).collect();
    for name in &environment.shares {
        if known.contains(&name.as_str()) || problems.is_broken("target", name) {
            continue;
        }
        let near = problems.did_you_mean(name, known.iter().copied());
        let message = format!("`{}` is neither a target nor a step", **name);
        problems.push(Diagnostic::error("F012", name.span, message).maybe_help(near));
    }
}

/// Reports roles and phases that sign-offs and success criteria name and that are not there.
fn for_people(runbook: &Runbook, problems: &mut Problems) {
    let sign_off = &runbook.sign_off;
    for role in sign_off.before.iter().chain(&sign_off.after) {
        let known = runbook.people.iter().map(|role| role.name.as_str());
        let help = "declare it in `people`";
        unknown("role", role, known, help, problems);
    }
    for phase in runbook.criteria.iter().filter_map(|one| one.phase.as_ref()) {
        let known = runbook.phases.iter().map(|phase| phase.name.as_str());
        unknown(
            "phase",
            phase,
            known,
            "name a phase of this runbook",
            problems,
        );
    }
}

fn unknown<'n>(
    what: &'static str,
    name: &Sp<String>,
    mut known: impl Iterator<Item = &'n str> + Clone,
    help: &str,
    problems: &mut Problems,
) {
    if known.clone().any(|known| known == name.as_str()) || problems.is_broken(what, name) {
        return;
    }
    let near = problems.did_you_mean(name, &mut known);
    let found = Diagnostic::error("F012", name.span, format!("unknown {what} `{}`", **name));
    problems.push(found.help(near.unwrap_or_else(|| help.to_owned())));
}

/// Names seen so far, by what they look like and without their case.
struct Alike<'r> {
    what: &'static str,
    looks: HashMap<String, Seen<'r>>,
    lower: HashMap<String, Seen<'r>>,
}

/// Where a name stands, and what has it.
type Seen<'r> = (Span, &'r str, &'static str);

impl<'r> Alike<'r> {
    fn new(what: &'static str, names: usize) -> Self {
        Self {
            what,
            looks: HashMap::with_capacity(names),
            lower: HashMap::with_capacity(names),
        }
    }

    fn step(&mut self, step: &'r Step, problems: &mut Problems) {
        self.see(&step.id, problems);
        if let Undo::Steps(undo) = &step.undo {
            undo.iter().for_each(|step| self.see(&step.id, problems));
        }
    }

    fn see(&mut self, name: &'r Sp<String>, problems: &mut Problems) {
        self.see_as(name, self.what, problems);
    }

    /// Sees a name of something else that shares the names.
    fn see_as(&mut self, name: &'r Sp<String>, what: &'static str, problems: &mut Problems) {
        let entry = (name.span, name.as_str(), what);
        let alike = self.looks.insert(looks(name), entry);
        let cased = self.lower.insert(name.to_ascii_lowercase(), entry);
        let Some((first, other, its)) = alike.or(cased) else {
            return;
        };
        let message = if its != what && other == name.as_str() {
            format!("a {its} and a {what} are called `{other}`")
        } else if its != what {
            format!("the {its} `{other}` and the {what} `{}` look alike", **name)
        } else if other == name.as_str() {
            format!("two {what}s are called `{other}`")
        } else if other.eq_ignore_ascii_case(name) {
            format!(
                "the {what} names `{other}` and `{}` differ only in case",
                **name
            )
        } else {
            format!("the {what} names `{other}` and `{}` look alike", **name)
        };
        let found = Diagnostic::error("F015", name.span, message)
            .also(first, "the first")
            .help("give one of them another name: they are told apart by people, at night");
        problems.push(found);
    }
}

/// A name with everything made equal that looks equal: `0` and `O`, `1`, `l` and `I`, `-` and `_`.
fn looks(name: &str) -> String {
    let same = |c: char| match c {
        '0' => 'O',
        '1' | 'I' => 'l',
        '_' => '-',
        c => c,
    };
    name.chars().map(same).collect()
}

#[cfg(test)]
mod tests {
    use super::looks;

    #[test]
    fn what_looks_alike_is_one() {
        for (one, other) in [("a0", "aO"), ("l1", "Il"), ("flush-a", "flush_a")] {
            assert_eq!(looks(one), looks(other), "{one} {other}");
        }
        for (one, other) in [
            ("a1", "a2"),
            ("step-10", "step-11"),
            ("warm", "worm"),
            ("mail", "mall"),
        ] {
            assert_ne!(looks(one), looks(other), "{one} {other}");
        }
    }
}
