//! The way back, before the run: what takes each step back, whether that was ever done, and how long
//! going back takes from each phase.
//!
//! Main type: [`WayBack`], made from a plan and what earlier runs show. A time that is not known is
//! said to be unknown, and never counts as nothing without a word.

use crate::event::UndoKind;
use crate::plan::{Plan, each_expr_of_step, undo_kind};
use crate::runbook::model::{Items, Step, Undo};
use crate::view::{Exercise, History};

/// The way back of a plan.
pub struct WayBack {
    /// Every step that changes something, in the order of the text.
    pub steps: Vec<StepBack>,
    /// From the end of each phase, in the order of the runbook.
    pub phases: Vec<PhaseBack>,
    /// How many of the steps can be taken back, and were.
    pub coverage: Coverage,
    /// The steps before and after the undos: id, and what they take.
    pub around: Vec<(String, Takes)>,
    /// How many earlier runs were looked at.
    pub runs: usize,
}

/// The way back of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepBack {
    /// Its id.
    pub id: String,
    /// Index of its phase.
    pub phase: usize,
    /// What takes it back.
    pub undo: UndoKind,
    /// Whether it counts for the coverage.
    pub counts: Counts,
    /// Steps whose backup or outputs its undo needs, each with what of it.
    pub needs: Vec<(&'static str, String)>,
    /// The latest time that its undo was carried out and went well.
    pub exercised: Option<Exercise>,
    /// Whether the step is as it was then.
    pub same: bool,
    /// What its undo takes.
    pub takes: Takes,
}

/// How a step counts for the coverage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// It leaves something to take back.
    Yes,
    /// Its action leaves nothing to take back: a copy, a message.
    LeavesNothing,
    /// The author says that there is nothing to take back.
    SaidNone,
    /// It is a point of no return.
    NoReturn,
}

/// How long something takes, in milliseconds, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// There is nothing to do.
    Nothing,
    /// As an earlier run did.
    Measured(u64),
    /// As an earlier run did, before the step was changed.
    Before(u64),
    /// As the author says.
    Estimated(u64),
    /// Nobody knows.
    Unknown,
}

impl Takes {
    fn ms(self) -> u64 {
        match self {
            Self::Measured(ms) | Self::Before(ms) | Self::Estimated(ms) => ms,
            Self::Nothing | Self::Unknown => 0,
        }
    }

    /// The time, where there is one.
    pub fn known(self) -> Option<u64> {
        (self != Self::Unknown).then(|| self.ms())
    }

    /// The word for how it is known.
    pub fn source(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Measured(_) => "measured",
            Self::Before(_) => "measured before a change",
            Self::Estimated(_) => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

/// Going back from the end of a phase, when everything that can have run by then did.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseBack {
    /// What is known of the sum, in milliseconds; the steps around the undos are in it.
    pub ms: u64,
    /// How many parts of it are known in which way: measured, measured before a change, estimated.
    pub known: [usize; 3],
    /// Parts of which nobody knows how long they take: the sum is *at least*.
    pub unknown: Vec<String>,
    /// Steps in it that change something and that nothing takes back.
    pub left: Vec<String>,
    /// The points of no return that it lies behind: nothing goes back past them by itself, and what
    /// came before them is not counted.
    pub held_by: Vec<String>,
    /// Whether there is nothing to take back by then.
    pub nothing: bool,
}

/// How many of the steps that leave something to take back have an undo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Steps that count: they change something, leave something to take back, are no point of no
    /// return, and do not say `undo: none`.
    pub counted: usize,
    /// Those of them that have an undo.
    pub covered: usize,
    /// Those of them whose undo an earlier run carried out, with the step as it is now.
    pub exercised: usize,
    /// Those without an undo.
    pub uncovered: Vec<String>,
    /// Those with an undo that was never carried out, or only before the step was changed.
    pub unexercised: Vec<String>,
    /// Steps that say `undo: none`.
    pub said_none: Vec<String>,
    /// Points of no return.
    pub no_return: Vec<String>,
}

impl Coverage {
    /// Per cent of the steps that count and have an undo, rounded down: 100 only when all have.
    pub fn covered_percent(&self) -> usize {
        percent(self.covered, self.counted)
    }

    /// Per cent of the steps that count and whose undo was carried out, rounded down.
    pub fn exercised_percent(&self) -> usize {
        percent(self.exercised, self.counted)
    }
}

fn percent(part: usize, whole: usize) -> usize {
    match whole {
        0 => 100,
        _ => part * 100 / whole,
    }
}

impl WayBack {
    /// The way back of a plan, with what earlier runs show.
    pub fn of(plan: &Plan, history: &History) -> Self {
        let changing = plan.runbook.steps().enumerate();
        let changing = changing.filter(|(_, (_, step))| step.changes());
        let steps: Vec<_> = changing
            .map(|(at, (phase, step))| step_back(plan, history, at, phase, step))
            .collect();
        let around = around(plan, history);
        let before = plan.graph.before();
        let phases = (0..plan.runbook.phases.len())
            .map(|at| phase_back(&steps, &around, &before, at))
            .collect();
        Self {
            coverage: coverage(&steps),
            steps,
            around,
            phases,
            runs: history.runs(),
        }
    }
}

fn counts(step: &Step) -> Counts {
    match &step.undo {
        _ if step.point_of_no_return => Counts::NoReturn,
        // what is written counts, whatever the action is
        Undo::Auto(_) | Undo::Steps(_) => Counts::Yes,
        _ if step.leaves_nothing() => Counts::LeavesNothing,
        Undo::None => Counts::SaidNone,
        Undo::Unsaid => Counts::Yes,
    }
}

fn step_back(plan: &Plan, history: &History, at: usize, phase: usize, step: &Step) -> StepBack {
    let undo = undo_kind(step);
    let has = matches!(undo, UndoKind::Auto | UndoKind::Written);
    let found = history
        .undo_of(&step.id, plan.step_digest(at))
        .filter(|_| has);
    let takes = match found {
        _ if !has => Takes::Nothing,
        Some((one, true)) => Takes::Measured(one.took_ms),
        _ => match (estimate(step), found) {
            (Some(ms), _) => Takes::Estimated(ms),
            (None, Some((one, _))) => Takes::Before(one.took_ms),
            (None, None) => Takes::Unknown,
        },
    };
    StepBack {
        id: step.id.value.clone(),
        phase,
        undo,
        counts: counts(step),
        needs: if has { needs(plan, step) } else { Vec::new() },
        exercised: found.map(|(one, _)| one.clone()),
        same: found.is_some_and(|(_, same)| same),
        takes,
    }
}

/// What the author says that the undo takes, one item after the other: there only where each of its
/// steps has an estimate, and it is known how many items there are.
fn estimate(step: &Step) -> Option<u64> {
    let Undo::Steps(steps) = &step.undo else {
        return None;
    };
    let items = match step.for_each.as_ref().map(|each| &each.items) {
        None => 1,
        Some(Items::Listed(items)) => u64::try_from(items.len()).unwrap_or(u64::MAX),
        Some(Items::Computed(_)) => return None,
    };
    let one: Option<u64> = steps.iter().map(millis).sum();
    one.map(|one| one.saturating_mul(items))
}

fn millis(step: &Step) -> Option<u64> {
    step.estimate
        .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// What has to be there for the undo.
fn needs(plan: &Plan, step: &Step) -> Vec<(&'static str, String)> {
    let mut needs: Vec<(&'static str, String)> = Vec::new();
    if let Some(backup) = &step.requires_backup {
        needs.push(("backup", backup.step.value.clone()));
    }
    let Undo::Steps(steps) = &step.undo else {
        return needs;
    };
    for undo in steps {
        let written = undo.action.params.as_written();
        if let Some(from) = written.get("from").and_then(|from| from.as_str())
            && undo.action.key.ends_with(".restore")
            && plan.find(from).is_some()
        {
            needs.push(("backup", from.to_owned()));
        }
        each_expr_of_step(undo, &mut |expr| {
            for reference in expr.references() {
                if let [root, id, part, ..] = reference.path.as_slice()
                    && root == "steps"
                {
                    let what = if part == "outputs" {
                        "outputs"
                    } else {
                        "result"
                    };
                    needs.push((what, id.clone()));
                }
            }
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    needs.retain(|need| seen.insert(need.clone()));
    needs
}

/// The steps before and after the undos: id, and what they take.
fn around(plan: &Plan, history: &History) -> Vec<(String, Takes)> {
    let rollback = &plan.runbook.rollback;
    let steps = [&rollback.first, &rollback.last, &rollback.verify];
    let one = |step: &Step| {
        let takes = match (history.around(&step.id), millis(step)) {
            (Some(one), _) => Takes::Measured(one.took_ms),
            (None, Some(ms)) => Takes::Estimated(ms),
            (None, None) => Takes::Unknown,
        };
        (step.id.value.clone(), takes)
    };
    steps.into_iter().flatten().map(one).collect()
}

fn phase_back(
    steps: &[StepBack],
    around: &[(String, Takes)],
    before: &[Vec<bool>],
    at: usize,
) -> PhaseBack {
    // whatever does not need this phase can be over by its end
    let ran = |step: &StepBack| !before[step.phase][at];
    let mut back = PhaseBack {
        ms: 0,
        known: [0; 3],
        unknown: Vec::new(),
        left: Vec::new(),
        held_by: Vec::new(),
        nothing: true,
    };
    let lines: Vec<(usize, &StepBack)> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.counts == Counts::NoReturn)
        .filter(|(_, step)| step.phase == at || before[at][step.phase])
        .collect();
    // what came before a line is not taken back by itself once the line is crossed
    let barred = |n: usize, step: &StepBack| {
        lines.iter().any(|(line, crossed)| {
            before[crossed.phase][step.phase] || crossed.phase == step.phase && n < *line
        })
    };
    back.held_by = lines.iter().map(|(_, step)| step.id.clone()).collect();
    for (n, step) in steps.iter().enumerate().filter(|(_, step)| ran(step)) {
        if step.counts != Counts::Yes || barred(n, step) {
            continue;
        }
        match step.undo {
            UndoKind::Unsaid => back.left.push(step.id.clone()),
            _ => back.add(&step.id, step.takes),
        }
        back.nothing = false;
    }
    if !back.nothing {
        for (id, takes) in around {
            back.add(id, *takes);
        }
    }
    back
}

impl PhaseBack {
    fn add(&mut self, id: &str, takes: Takes) {
        self.ms += takes.ms();
        match takes {
            Takes::Measured(_) => self.known[0] += 1,
            Takes::Before(_) => self.known[1] += 1,
            Takes::Estimated(_) => self.known[2] += 1,
            Takes::Unknown => self.unknown.push(id.to_owned()),
            Takes::Nothing => {}
        }
    }
}

fn coverage(steps: &[StepBack]) -> Coverage {
    let mut coverage = Coverage::default();
    for step in steps {
        let id = step.id.clone();
        match step.counts {
            Counts::LeavesNothing => {}
            Counts::SaidNone => coverage.said_none.push(id),
            Counts::NoReturn => coverage.no_return.push(id),
            Counts::Yes => {
                coverage.counted += 1;
                match (step.undo, step.same) {
                    (UndoKind::Unsaid, _) => coverage.uncovered.push(id),
                    (_, true) => {
                        coverage.covered += 1;
                        coverage.exercised += 1;
                    }
                    (_, false) => {
                        coverage.covered += 1;
                        coverage.unexercised.push(id);
                    }
                }
            }
        }
    }
    coverage
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::event::{EventKind, RunEvent};
    use crate::view::RunView;
    use crate::view::samples::rolled_back;

    /// A run in which `restart` went back, with that digest of it.
    fn history(digest: &str) -> History {
        let mut events = rolled_back(false);
        if let EventKind::Run(RunEvent::Planned(planned)) = &mut events[0].kind {
            planned.outline.phases[1].steps[2].digest = digest.to_owned();
        }
        let mut history = History::default();
        history.add(&RunView::replay(&events).with_id("r1"), "run");
        history
    }

    fn step<'a>(back: &'a WayBack, id: &str) -> &'a StepBack {
        back.steps.iter().find(|step| step.id == id).unwrap()
    }

    fn digest_of(plan: &Plan, id: &str) -> String {
        plan.step_digest(plan.find(id).unwrap() as usize).to_owned()
    }

    #[test]
    fn steps_say_what_takes_them_back_and_what_that_needs() {
        let plan = samples::small();
        let back = WayBack::of(&plan, &History::default());
        let flush = step(&back, "flush-cache");
        assert_eq!((flush.undo, flush.counts), (UndoKind::Auto, Counts::Yes));
        assert_eq!(flush.needs, [("backup", "keys".to_owned())]);
        assert_eq!(flush.takes, Takes::Unknown);
        assert_eq!(step(&back, "compile").counts, Counts::SaidNone);
        assert_eq!(step(&back, "tidy").counts, Counts::Yes);
        let coverage = &back.coverage;
        assert_eq!(
            (coverage.counted, coverage.covered, coverage.exercised),
            (3, 2, 0)
        );
        assert_eq!(
            (coverage.covered_percent(), coverage.exercised_percent()),
            (66, 0)
        );
        assert_eq!(coverage.uncovered, ["tidy"]);
        assert_eq!(coverage.said_none, ["compile"]);
    }

    #[test]
    fn a_step_that_is_as_it_was_is_exercised_and_one_that_changed_is_not() {
        let plan = samples::small();
        let back = WayBack::of(&plan, &history(&digest_of(&plan, "restart")));
        let restart = step(&back, "restart");
        assert_eq!(
            (restart.same, restart.takes),
            (true, Takes::Measured(1_700))
        );
        assert_eq!(back.coverage.exercised, 1);
        let back = WayBack::of(&plan, &history("another"));
        let restart = step(&back, "restart");
        assert_eq!((restart.same, restart.takes), (false, Takes::Before(1_700)));
        assert_eq!(
            restart.exercised.as_ref().map(|one| one.run.as_str()),
            Some("r1")
        );
        assert_eq!(back.coverage.exercised, 0);
        assert_eq!(back.coverage.unexercised, ["flush-cache", "restart"]);
    }

    #[test]
    fn the_time_to_go_back_counts_everything_that_can_have_run_and_says_what_is_not_known() {
        let plan = samples::small();
        let back = WayBack::of(&plan, &history(&digest_of(&plan, "restart")));
        // verify, backup, build, flush
        assert!(back.phases[..3].iter().all(|phase| phase.nothing));
        let flush = &back.phases[3];
        assert_eq!((flush.ms, flush.known), (1_700, [1, 0, 0]));
        assert_eq!(flush.unknown, ["flush-cache", "stop", "old"]);
        assert_eq!(flush.left, ["tidy"]);
    }

    #[test]
    fn an_estimate_counts_once_for_each_item_that_is_written() {
        let plan = samples::plan(
            "runbook: demo\nphases:\n  a:\n    steps:\n      - { id: three, shell: x, for_each: [1, 2, 3], undo: [{ shell: y, estimate: 10s }] }\n",
        );
        let back = WayBack::of(&plan, &History::default());
        assert_eq!(
            (back.phases[0].ms, back.phases[0].known),
            (30_000, [0, 0, 1])
        );
    }

    #[test]
    fn behind_a_point_of_no_return_nothing_goes_back_by_itself() {
        let plan = samples::plan(
            "runbook: demo\nphases:\n  a:\n    steps:\n      - { id: one, shell: x, undo: [{ shell: y, estimate: 30s }] }\n  \
             b:\n    needs: [a]\n    steps:\n      - { id: drop, shell: z, undo: none, point_of_no_return: true }\n  \
             side:\n    steps:\n      - { id: two, shell: s, undo: [{ shell: t, estimate: 5s }, { shell: u, estimate: 5s }] }\n",
        );
        let back = WayBack::of(&plan, &History::default());
        let [a, b, side] = &back.phases[..] else {
            panic!("three phases")
        };
        assert_eq!((a.ms, a.known, a.held_by.len()), (40_000, [0, 0, 2], 0));
        // `one` came before the line, and `two` may have come after it
        assert_eq!(
            (b.ms, b.known, &b.held_by),
            (10_000, [0, 0, 1], &vec!["drop".to_owned()])
        );
        // whatever may be over beside it is counted, and the line is drawn only where it is sure
        assert_eq!((side.ms, side.held_by.len()), (40_000, 0));
        assert_eq!(back.coverage.no_return, ["drop"]);
        assert_eq!(back.coverage.covered_percent(), 100);
    }
}
