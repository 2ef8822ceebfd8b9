//! What is looked at again and again: guards, and steps with `watch`. By what rule their looks come to
//! a verdict, and what each look is judged by.
//!
//! Main types: [`Rule`], [`Criteria`], [`Guard`]. The fields have the names and the precedence of Argo
//! Rollouts' analysis metrics (failures before inconclusive looks before errors before success), where
//! it has them. Judging is `run::watch`'s.

use std::collections::BTreeSet;
use std::time::Duration;

use super::model::{ActionUse, Sp, Step};
use super::node::Span;
use crate::event::{BandOutline, CheckOutline, Then};
use crate::expr::Expr;
use crate::runbook::units::human;

/// Fewer values than this say nothing of a trend.
pub const TREND_LOOKS: u64 = 8;

/// How often a thing is looked at, and what its looks come to together.
#[derive(Clone, Debug)]
pub struct Rule {
    /// From one look to the next.
    pub every: Duration,
    /// When it is over.
    pub length: Length,
    /// Before the first look.
    pub initial_delay: Duration,
    /// It fails once more looks than this have failed; `None`: however many.
    pub failure_limit: Option<u64>,
    /// It fails once as many looks in a row have failed.
    pub consecutive_failures: Option<u64>,
    /// It passes once as many looks in a row have passed.
    pub consecutive_successes: Option<u64>,
    /// It is inconclusive once more looks than this were: in all, or in a row for a guard.
    pub inconclusive_limit: u64,
    /// It is an error once more looks in a row than this were.
    pub consecutive_errors: u64,
    /// The share of the looks that were due which must have taken place for a pass, 0 to 1.
    pub coverage: f64,
    /// How long one look may take.
    pub timeout: Option<Duration>,
    /// Whether a target that does not answer makes a look fail; else the look is an error.
    pub unreachable_fails: bool,
    /// Readings of one look; of every number in their results the median counts.
    pub median_of: u32,
}

/// When looking is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After as many looks.
    Count(u64),
    /// After this long, with everything held all the time.
    For(Duration),
    /// When it passed, which it must within this long.
    Within(Duration),
    /// With the phases of its guard.
    Phases,
}

impl Rule {
    /// The end of the time that it takes at most; `None`: there is none.
    pub fn longest(&self) -> Option<Duration> {
        match self.length {
            Length::Count(count) => {
                let looks = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
                Some(self.initial_delay + self.every.saturating_mul(looks))
            }
            Length::For(length) | Length::Within(length) => Some(length),
            Length::Phases => None,
        }
    }

    /// How many looks it has room for; `None`: no end is said, or it ends when it passed.
    pub fn most_looks(&self) -> Option<u64> {
        match self.length {
            Length::Count(count) => Some(count),
            Length::For(length) => {
                let (room, every) = (
                    length.saturating_sub(self.initial_delay).as_millis(),
                    self.every.as_millis().max(1),
                );
                // one at the start, and one at the very end
                let looks = room.div_ceil(every) + 1;
                Some(u64::try_from(looks).unwrap_or(u64::MAX))
            }
            Length::Within(_) | Length::Phases => None,
        }
    }

    /// When it does not hold, in a line.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if let Some(limit) = self.failure_limit {
            parts.push(match limit {
                0 => "one look fails".to_owned(),
                limit => format!("more than {limit} looks fail"),
            });
        }
        if let Some(row) = self.consecutive_failures {
            parts.push(match row {
                1 => "one look fails".to_owned(),
                row => format!("{row} looks in a row fail"),
            });
        }
        if let (Length::Within(within), row) = (self.length, self.consecutive_successes) {
            let row = match row.unwrap_or(1) {
                1 => "no look passes".to_owned(),
                row => format!("no {row} looks in a row pass"),
            };
            parts.push(format!("{row} within {}", human(within)));
        }
        parts.dedup();
        parts.join(", or ")
    }
}

/// What one look is judged by.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// What must hold.
    pub expect: Vec<Sp<Expr>>,
    /// What is recorded and shown where it does not hold.
    pub warn: Vec<Sp<Expr>>,
    /// What must hold by time after the start, ordered by it.
    pub bands: Vec<Band>,
    /// How numbers must move over all looks.
    pub trends: Vec<TrendDef>,
    /// How the same probe is read before the first change.
    pub baseline: BaselineDef,
}

impl Criteria {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.expect.is_empty() && self.bands.is_empty() && self.trends.is_empty()
    }

    /// Every expression that is judged.
    pub fn exprs(&self) -> impl Iterator<Item = &Sp<Expr>> {
        let bands = self.bands.iter().flat_map(|band| &band.expect);
        self.expect.iter().chain(&self.warn).chain(bands)
    }

    /// Whether something is compared with the time before the first change.
    pub fn asks_baseline(&self) -> bool {
        asks(self.exprs(), "baseline")
    }

    /// The parts of the result that its expectations are about, such as `hit_rate`.
    pub fn watched(&self) -> Vec<String> {
        const MOST: usize = 8;
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut add = |path: String| {
            if seen.insert(path.clone()) && found.len() < MOST {
                found.push(path);
            }
        };
        for expr in self.exprs() {
            for reference in expr.references() {
                if let [root, path @ ..] = reference.path.as_slice()
                    && root == "result"
                    && !path.is_empty()
                {
                    add(path.join("."));
                }
            }
        }
        self.trends.iter().for_each(|trend| add(trend.path.clone()));
        found
    }
}

/// Whether one of them reads from `root`.
pub fn asks<'e>(mut exprs: impl Iterator<Item = &'e Sp<Expr>>, root: &str) -> bool {
    exprs.any(|expr| {
        let mut references = expr.references().iter();
        references.any(|reference| reference.path.first().is_some_and(|first| first == root))
    })
}

/// What is expected from a time on, up to the next band.
#[derive(Clone, Debug)]
pub struct Band {
    /// From how long after the start.
    pub from: Duration,
    /// What must hold.
    pub expect: Vec<Sp<Expr>>,
}

/// How a number must move.
#[derive(Clone, Debug)]
pub struct TrendDef {
    /// Its path in the result.
    pub path: String,
    /// How.
    pub wanted: Direction,
    /// A change over the whole time of at most this share of the median is none.
    pub tolerance: f64,
    /// Where the path stands.
    pub span: Span,
}

/// A direction over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Rising,
    Falling,
    Steady,
    NotRising,
    NotFalling,
}

impl Direction {
    /// All of them, with the words of the language.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("rising", Self::Rising),
        ("falling", Self::Falling),
        ("steady", Self::Steady),
        ("not_rising", Self::NotRising),
        ("not_falling", Self::NotFalling),
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        let of = Self::ALL.iter().find(|(_, one)| *one == self);
        of.map_or("", |(word, _)| word)
    }
}

/// How often a probe is read for a baseline, before the first change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaselineDef {
    /// Readings; of every number in their results the median counts.
    pub samples: u32,
    /// Between two of them.
    pub every: Duration,
}

impl Default for BaselineDef {
    fn default() -> Self {
        Self {
            samples: 5,
            every: Duration::from_millis(200),
        }
    }
}

/// What is watched in the background while named phases run.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Its name.
    pub name: Sp<String>,
    /// For people.
    pub title: Option<String>,
    /// The phases.
    pub during: Vec<Sp<String>>,
    /// What is read.
    pub call: ActionUse,
    /// What each look is judged by.
    pub criteria: Criteria,
    /// How looks come to a verdict.
    pub rule: Rule,
    /// While this holds, what a look came to has no consequence.
    pub unless: Option<Sp<Expr>>,
    /// What follows when it does not hold.
    pub then: Then,
    /// What follows when it cannot tell any more.
    pub when_blind: Then,
    /// Whether what changes something and is under way is ended at once, before going back.
    pub interrupt: bool,
    /// Whether its failing time is the measured downtime.
    pub downtime: bool,
}

impl Guard {
    /// What readers need to know of it.
    pub fn outline(&self) -> CheckOutline {
        CheckOutline {
            title: self.title.clone(),
            guard: true,
            during: self
                .during
                .iter()
                .map(|phase| phase.value.clone())
                .collect(),
            then: Some(self.then),
            downtime: self.downtime,
            ..outline(&self.call, &self.rule, &self.criteria)
        }
    }
}

/// What a step with `watch` is judged by.
#[derive(Clone, Debug)]
pub struct WatchDef {
    /// How looks come to a verdict.
    pub rule: Rule,
    /// What each look is judged by, beside the step's `expect`, which is in it.
    pub criteria: Criteria,
}

impl WatchDef {
    /// What readers need to know of it.
    pub fn outline(&self, call: &ActionUse, title: Option<&String>) -> CheckOutline {
        CheckOutline {
            title: title.cloned(),
            ..outline(call, &self.rule, &self.criteria)
        }
    }
}

impl Step {
    /// How long it is expected to take: its `estimate`, else as long as its `watch` goes on at most.
    pub fn expected_length(&self) -> Option<Duration> {
        let watched = self.watch.as_ref();
        self.estimate.or_else(|| watched?.rule.longest())
    }
}

fn outline(call: &ActionUse, rule: &Rule, criteria: &Criteria) -> CheckOutline {
    let texts = |exprs: &[Sp<Expr>]| exprs.iter().map(|expr| expr.text().to_owned()).collect();
    let length = match rule.length {
        Length::For(length) | Length::Within(length) => Some(millis(length)),
        Length::Count(_) | Length::Phases => None,
    };
    let bands = criteria.bands.iter().map(|band| BandOutline {
        from_ms: millis(band.from),
        expect: texts(&band.expect),
    });
    let trends = criteria.trends.iter();
    CheckOutline {
        action: call.key.value.clone(),
        target: call.target.as_ref().map(|target| target.value.clone()),
        every_ms: millis(rule.every),
        length_ms: length,
        count: match rule.length {
            Length::Count(count) => Some(count),
            _ => None,
        },
        rule: rule.words(),
        expect: texts(&criteria.expect),
        bands: bands.collect(),
        trends: trends
            .map(|trend| format!("{} {}", trend.path, trend.wanted.word()))
            .collect(),
        watched: criteria.watched(),
        ..CheckOutline::default()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
