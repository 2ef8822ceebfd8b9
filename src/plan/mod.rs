//! The plan: a runbook with its inputs bound, its order fixed and its digest taken.
//!
//! [`Plan`] is what runs and what is approved. It holds indices where the runbook has names, so
//! that the run costs the same for ten steps and ten thousand.

mod coverage;
mod key;
mod reach;
mod watched;
mod window;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

pub use coverage::undo_kind;
pub use key::StepKey;
pub use watched::Baseline;

use crate::event::{Outline, PhaseOutline, StepOutline};
use crate::expr::Expr;
use crate::graph::{Graph, Schedule};
use crate::runbook::Runbook;
use crate::runbook::model::{ActionUse, InputValues, Items, OutputDef, Probe, Step, Undo};

/// What will run.
pub struct Plan {
    /// What the author wrote.
    pub runbook: Runbook,
    /// Inputs that are no secrets.
    pub inputs: InputValues,
    /// Names of the inputs that are.
    pub secrets: Vec<String>,
    /// SHA-256 over the runbook's meaning and the inputs, in hexadecimal.
    pub digest: String,
    /// Phases by index; edges are `needs`.
    pub graph: Graph,
    /// For each phase, who needs it.
    pub dependents: Vec<Vec<usize>>,
    /// All steps, phase by phase: (phase, place in it).
    places: Vec<(usize, usize)>,
    /// For each phase, the index of its first step.
    first: Vec<usize>,
    index: HashMap<String, u32>,
    kept: HashSet<u32>,
    /// What is read before the first change, to be compared with.
    pub baselines: Vec<Baseline>,
    /// For each step, what its definition comes to.
    digests: Vec<String>,
}

impl Plan {
    /// From a checked runbook (its graph has no cycle) and bound inputs.
    pub fn new(runbook: Runbook, meaning: &str, inputs: InputValues, secrets: Vec<String>) -> Self {
        let needs = |phase: &crate::runbook::Phase| {
            phase
                .needs
                .iter()
                .filter_map(|need| runbook.phase_index(need))
                .collect()
        };
        let graph = Graph::new(runbook.phases.iter().map(needs).collect());
        let dependents = graph.dependents();
        let mut places = Vec::new();
        let mut first = Vec::new();
        let mut index = HashMap::new();
        for (phase_at, phase) in runbook.phases.iter().enumerate() {
            first.push(places.len());
            for (step_at, step) in phase.steps.iter().enumerate() {
                let at = u32::try_from(places.len()).expect("a runbook has fewer than 2^32 steps");
                index.insert(step.id.value.clone(), at);
                places.push((phase_at, step_at));
            }
        }
        let digest = digest(meaning, &inputs);
        let mut plan = Self {
            runbook,
            inputs,
            secrets,
            digest,
            graph,
            dependents,
            places,
            first,
            index,
            kept: HashSet::new(),
            baselines: Vec::new(),
            digests: step_digests(meaning),
        };
        plan.kept = plan.results_needed();
        plan.baselines = watched::baselines(&plan.runbook);
        plan
    }

    /// How many steps there are, items not counted.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The step at an index.
    pub fn step(&self, at: u32) -> &Step {
        let (phase, step) = self.places[at as usize];
        &self.runbook.phases[phase].steps[step]
    }

    /// The phase that a step belongs to.
    pub fn phase_of(&self, at: u32) -> usize {
        self.places[at as usize].0
    }

    /// The index of the `n`th step of a phase.
    pub fn step_of(&self, phase: usize, n: usize) -> u32 {
        u32::try_from(self.first[phase] + n).expect("a runbook has fewer than 2^32 steps")
    }

    /// The step with that id.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.index.get(id).copied()
    }

    /// Whether some later place asks for the step's result, so that it must be kept whole.
    pub fn keeps_result(&self, at: u32) -> bool {
        self.kept.contains(&at)
    }

    /// Estimated seconds of each phase: the author's, else what its steps' come to. A step with `watch`
    /// takes as long as that goes on.
    pub fn estimates(&self) -> Vec<f64> {
        let of_steps = |phase: &crate::runbook::Phase| {
            let steps = phase.steps.iter();
            let takes = steps.map(|step| step.expected_length().map(|time| time.as_secs_f64()));
            let takes: Vec<_> = takes.collect();
            crate::graph::length(&takes, phase.parallel).unwrap_or(0.0)
        };
        self.runbook
            .phases
            .iter()
            .map(|phase| {
                phase
                    .estimate
                    .map_or_else(|| of_steps(phase), |d| d.as_secs_f64())
            })
            .collect()
    }

    /// Earliest starts and the critical path, in seconds, by the estimates.
    pub fn schedule(&self) -> Schedule {
        self.graph.schedule(&self.estimates())
    }

    /// What readers need of it.
    pub fn outline(&self) -> Outline {
        let digests =
            |at: usize| self.first[at]..self.first[at] + self.runbook.phases[at].steps.len();
        let phases = self
            .runbook
            .phases
            .iter()
            .enumerate()
            .map(|(at, phase)| PhaseOutline {
                name: phase.name.value.clone(),
                title: phase.title.clone(),
                needs: phase.needs.iter().map(|need| need.value.clone()).collect(),
                estimate_s: phase.estimate.map(|d| d.as_secs_f64()),
                parallel: phase.parallel,
                steps: phase
                    .steps
                    .iter()
                    .zip(digests(at))
                    .map(|(step, at)| step_outline(step, self.step_digest(at)))
                    .collect(),
            });
        Outline {
            phases: phases.collect(),
        }
    }

    /// What the definition of the `at`th step comes to, cut to 16 digits; empty where the runbook was
    /// not made from a text.
    pub fn step_digest(&self, at: usize) -> &str {
        self.digests.get(at).map_or("", String::as_str)
    }

    /// Steps whose result some expression, backup or restore asks for.
    fn results_needed(&self) -> HashSet<u32> {
        let mut needed = HashSet::new();
        let mut see = |expr: &Expr| {
            for reference in expr.references() {
                if let [root, id, ..] = reference.path.as_slice()
                    && root == "steps"
                {
                    needed.extend(self.find(id));
                }
            }
        };
        each_expr(&self.runbook, &mut see);
        for (at, (_, step)) in self.runbook.steps().enumerate() {
            // backups and what is read back by step id
            if step.action.key.ends_with(".backup") {
                needed.extend(u32::try_from(at).ok());
            }
        }
        needed
    }
}

fn step_outline(step: &Step, digest: &str) -> StepOutline {
    StepOutline {
        id: step.id.value.clone(),
        title: step.title.clone(),
        action: step.action.key.value.clone(),
        changes: step.changes(),
        undo: undo_kind(step),
        estimate_s: step.expected_length().map(|time| time.as_secs_f64()),
        digest: digest.to_owned(),
    }
}

/// A digest of each step as it is written, in the order of the text.
fn step_digests(meaning: &str) -> Vec<String> {
    let Ok(meaning) = serde_json::from_str::<serde_json::Value>(meaning) else {
        return Vec::new();
    };
    let phases = meaning["phases"].as_object().into_iter().flatten();
    let steps = phases.flat_map(|(_, phase)| phase["steps"].as_array().into_iter().flatten());
    let digest = |step: &serde_json::Value| {
        let mut cut = hex(&Sha256::digest(step.to_string().as_bytes()));
        cut.truncate(16);
        cut
    };
    steps.map(digest).collect()
}

fn digest(meaning: &str, inputs: &InputValues) -> String {
    let mut hasher = Sha256::new();
    hasher.update(meaning.as_bytes());
    hasher.update([0]);
    hasher.update(serde_json::to_vec(&inputs).unwrap_or_default());
    hex(&hasher.finalize())
}

/// Four letters, in capitals, that belong to one run of one plan.
pub fn short_code(run: &str, digest: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(run.as_bytes());
    hasher.update([0]);
    hasher.update(digest.as_bytes());
    hex(&hasher.finalize())[..4].to_uppercase()
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Every expression of the runbook that is evaluated in a run.
fn each_expr<'a>(runbook: &'a Runbook, visit: &mut dyn FnMut(&'a Expr)) {
    for phase in &runbook.phases {
        phase.when.iter().for_each(|when| visit(when));
        phase
            .steps
            .iter()
            .for_each(|step| each_expr_of_step(step, visit));
    }
    runbook
        .rollback
        .steps()
        .for_each(|step| each_expr_of_step(step, visit));
    for guard in &runbook.guards {
        each_expr_of_call(&guard.call, visit);
        let exprs = guard.criteria.exprs().chain(&guard.unless);
        exprs.for_each(|expr| visit(expr));
    }
    let looks = runbook.troubleshooting.iter().flat_map(|one| &one.diagnose);
    looks.for_each(|step| each_expr_of_step(step, visit));
}

/// Every expression of one step, its probes and its undo.
pub fn each_expr_of_step<'a>(step: &'a Step, visit: &mut dyn FnMut(&'a Expr)) {
    each_expr_of_call(&step.action, visit);
    step.when
        .iter()
        .chain(&step.expect)
        .chain(&step.warn)
        .for_each(|expr| visit(expr));
    step.env
        .iter()
        .for_each(|(_, template)| template.exprs().for_each(&mut *visit));
    step.cwd
        .iter()
        .for_each(|template| template.exprs().for_each(&mut *visit));
    for (_, def) in &step.outputs {
        if let OutputDef::Value(expr) = def {
            visit(expr);
        }
    }
    if let Some(Items::Computed(expr)) = step.for_each.as_ref().map(|for_each| &for_each.items) {
        visit(expr);
    }
    let probes = step.probes().chain(step.rehearse.as_deref());
    for Probe { call, expect } in probes {
        each_expr_of_call(call, visit);
        expect.iter().for_each(|expr| visit(expr));
    }
    if let Some(watch) = &step.watch {
        watch.criteria.exprs().for_each(|expr| visit(expr));
    }
    if let Undo::Steps(undo) = &step.undo {
        undo.iter().for_each(|step| each_expr_of_step(step, visit));
    }
}

fn each_expr_of_call<'a>(call: &'a ActionUse, visit: &mut dyn FnMut(&'a Expr)) {
    call.params.each_expr(visit);
}
