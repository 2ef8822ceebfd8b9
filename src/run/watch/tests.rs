//! Rules and trends: each way to pass by accident does not.

use std::time::Duration;

use proptest::prelude::*;

use super::trend;
use super::{at_end, take, verdict};
use crate::event::{Sample, Tally};
use crate::expr::Verdict::{self, Error, Fail, Inconclusive, Pass};
use crate::runbook::watch::{Direction, Length, Rule, TrendDef};

fn rule(length: Length) -> Rule {
    Rule {
        every: Duration::from_secs(1),
        length,
        initial_delay: Duration::ZERO,
        failure_limit: Some(0),
        consecutive_failures: None,
        consecutive_successes: None,
        inconclusive_limit: 0,
        consecutive_errors: 4,
        coverage: 0.8,
        timeout: None,
        unreachable_fails: false,
        median_of: 1,
    }
}

fn sample(nth: u64, verdict: Verdict) -> Sample {
    Sample {
        nth,
        at: i64::try_from(nth).unwrap() * 1_000,
        elapsed_ms: (nth - 1) * 1_000,
        took_ms: 1,
        verdict,
        values: std::collections::BTreeMap::new(),
        evidence: Vec::new(),
        warnings: Vec::new(),
        failure: None,
        band: None,
        early: false,
        excused: false,
        missed: 0,
        clock_jump_ms: 0,
    }
}

/// The verdict, and after how many looks it came.
fn run(rule: &Rule, looks: &[Verdict]) -> Option<(Verdict, u64)> {
    let mut tally = Tally::default();
    for (nth, look) in (1..).zip(looks) {
        take(&mut tally, &sample(nth, *look));
        if let Some((verdict, _)) = verdict(rule, &tally, 0) {
            return Some((verdict, nth));
        }
    }
    None
}

#[test]
fn limits_have_the_precedence_of_argo() {
    let mut limits = rule(Length::Count(5));
    assert_eq!(run(&limits, &[Pass; 5]), Some((Pass, 5)));
    assert_eq!(run(&limits, &[Pass; 4]), None, "four of five");
    assert_eq!(run(&limits, &[Pass, Fail]), Some((Fail, 2)));
    limits.failure_limit = Some(1);
    assert_eq!(
        run(&limits, &[Fail, Pass, Pass, Pass, Pass]),
        Some((Pass, 5))
    );
    assert_eq!(run(&limits, &[Fail, Pass, Fail]), Some((Fail, 3)));
    // a failure that breaks its limit comes before an inconclusive look that breaks its own
    limits.inconclusive_limit = 1;
    assert_eq!(
        run(&limits, &[Fail, Inconclusive, Inconclusive]),
        Some((Inconclusive, 3))
    );
    limits.consecutive_errors = 1;
    assert_eq!(run(&limits, &[Error, Pass, Error, Error]), Some((Error, 4)));
    let mut row = rule(Length::For(Duration::from_secs(60)));
    row.failure_limit = None;
    row.consecutive_failures = Some(3);
    let looks = [Fail, Fail, Pass, Fail, Fail, Fail];
    assert_eq!(run(&row, &looks), Some((Fail, 6)));
}

#[test]
fn a_row_of_passes_ends_it_early_and_nothing_else_does() {
    let mut within = rule(Length::Within(Duration::from_secs(5)));
    within.failure_limit = None;
    within.consecutive_successes = Some(2);
    within.inconclusive_limit = 100;
    assert_eq!(
        run(&within, &[Fail, Pass, Fail, Pass, Pass]),
        Some((Pass, 5))
    );
    assert_eq!(
        run(&within, &[Fail, Pass, Fail, Pass, Fail, Fail]),
        Some((Fail, 6))
    );
    let blind = [
        Inconclusive,
        Error,
        Inconclusive,
        Error,
        Inconclusive,
        Error,
    ];
    assert_eq!(run(&within, &blind), Some((Inconclusive, 6)));
    // too late is too late
    let late = [Fail, Fail, Fail, Fail, Fail, Fail, Pass, Pass];
    assert_eq!(run(&within, &late).map(|(verdict, _)| verdict), Some(Fail));
}

#[test]
fn what_was_not_seen_is_no_pass() {
    let mut held = rule(Length::For(Duration::from_secs(9)));
    let with = |rule: &Rule, change: &dyn Fn(u64, &mut Sample)| {
        let mut tally = Tally::default();
        for nth in 1..=10 {
            let mut look = sample(nth, Pass);
            change(nth, &mut look);
            take(&mut tally, &look);
        }
        verdict(rule, &tally, 0)
    };
    let all = with(&held, &|_, _| {});
    assert_eq!(all, Some((Pass, "all 10 looks passed".into())));
    let jumped = with(&held, &|nth, look| {
        look.clock_jump_ms = if nth == 4 { 60_000 } else { 0 };
    });
    assert_eq!(jumped.unwrap().0, Inconclusive);
    let missed = with(&held, &|nth, look| {
        look.missed = if nth == 4 { 3 } else { 0 }
    });
    let why = "10 of 13 looks took place, and 80 % must";
    assert_eq!(missed, Some((Inconclusive, why.into())));
    held.coverage = 0.7;
    assert_eq!(
        with(&held, &|nth, look| look.missed = u64::from(nth == 4))
            .unwrap()
            .0,
        Pass
    );
    let early = with(&held, &|_, look| look.early = true);
    assert_eq!(early, Some((Inconclusive, "no look passed".into())));
    let none = verdict(
        &held,
        &Tally {
            elapsed_ms: 9_000,
            ..Tally::default()
        },
        0,
    );
    assert_eq!(none, Some((Inconclusive, "no look passed".into())));
    // a band that nobody looked into
    let mut tally = Tally::default();
    for nth in 1..=10 {
        let mut look = sample(nth, Pass);
        look.band = Some(usize::from(nth > 5) * 2);
        take(&mut tally, &look);
    }
    let why = "no look fell into time band 2";
    assert_eq!(verdict(&held, &tally, 3), Some((Inconclusive, why.into())));
}

#[test]
fn looks_that_could_not_tell_are_not_looks_that_took_place() {
    let mut held = rule(Length::For(Duration::from_secs(9)));
    held.consecutive_errors = 4;
    let looks = [
        Error, Error, Error, Error, Pass, Error, Error, Error, Error, Pass,
    ];
    assert_eq!(run(&held, &looks), Some((Inconclusive, 10)));
    let few = [Pass, Pass, Pass, Error, Pass, Pass, Pass, Error, Pass, Pass];
    assert_eq!(run(&held, &few), Some((Pass, 10)));
}

#[test]
fn each_band_needs_a_look_that_passed_whatever_the_limits() {
    let mut held = rule(Length::For(Duration::from_secs(9)));
    held.failure_limit = Some(5);
    let mut tally = Tally::default();
    for nth in 1..=10 {
        let mut look = sample(nth, if nth == 10 { Fail } else { Pass });
        look.band = Some(usize::from(nth == 10));
        take(&mut tally, &look);
    }
    let why = "no look passed in time band 2";
    assert_eq!(verdict(&held, &tally, 2), Some((Fail, why.into())));
}

#[test]
fn an_excused_look_ends_every_row() {
    let mut tally = Tally::default();
    take(&mut tally, &sample(1, Fail));
    let mut look = sample(2, Fail);
    look.excused = true;
    take(&mut tally, &look);
    assert_eq!((tally.failed, tally.failed_row), (1, 0));
}

#[test]
fn a_guard_that_saw_nothing_did_not_hold() {
    let guard = rule(Length::Phases);
    assert_eq!(at_end(&guard, &Tally::default()).0, Inconclusive);
    let mut excused = Tally::default();
    let mut look = sample(1, Fail);
    look.excused = true;
    take(&mut excused, &look);
    assert_eq!(verdict(&guard, &excused, 0), None, "it has no consequence");
    assert_eq!(at_end(&guard, &excused).0, Inconclusive);
    assert_eq!(
        excused.failing_since,
        Some(1_000),
        "and is measured all the same"
    );
    let mut seen = Tally::default();
    take(&mut seen, &sample(1, Pass));
    assert_eq!(at_end(&guard, &seen).0, Pass);
    // in a guard, which has no end, inconclusive looks count in a row
    let mut blind = rule(Length::Phases);
    blind.inconclusive_limit = 2;
    let mixed = [
        Inconclusive,
        Inconclusive,
        Pass,
        Inconclusive,
        Inconclusive,
        Pass,
    ];
    assert_eq!(run(&blind, &mixed), None);
    assert_eq!(run(&blind, &[Inconclusive; 3]), Some((Inconclusive, 3)));
}

#[test]
fn failing_time_is_from_the_look_that_failed_to_the_one_that_did_not() {
    let mut tally = Tally::default();
    for (nth, look) in (1..).zip([Pass, Fail, Fail, Pass, Fail, Error, Fail]) {
        take(&mut tally, &sample(nth, look));
    }
    assert_eq!((tally.failing_ms, tally.failing_spans), (3_000, 3));
    assert_eq!(tally.failing_since, Some(7_000));
}

fn wanted(direction: Direction) -> TrendDef {
    TrendDef {
        path: "keys".into(),
        wanted: direction,
        tolerance: 0.05,
        span: crate::runbook::Span::default(),
    }
}

#[test]
fn a_trend_is_not_one_lucky_value() {
    let judged = |direction, values: &[f64]| {
        let series: Vec<(f64, f64)> = (0_u32..)
            .map(f64::from)
            .zip(values.iter().copied())
            .collect();
        trend::judge(&wanted(direction), &series).0
    };
    let rising: Vec<f64> = (0..20).map(|n| f64::from(n * n)).collect();
    assert_eq!(judged(Direction::Rising, &rising), Pass);
    assert_eq!(judged(Direction::Steady, &rising), Fail);
    assert_eq!(judged(Direction::NotFalling, &rising), Pass);
    assert_eq!(judged(Direction::NotRising, &rising), Fail);
    // the last value alone shoots up
    let mut spike = vec![100.0; 19];
    spike.push(10_000.0);
    assert_eq!(judged(Direction::Rising, &spike), Fail);
    assert_eq!(judged(Direction::Steady, &spike), Pass);
    // it rises, and crashes once on the way
    let mut dented = rising.clone();
    dented[10] = 0.0;
    assert_eq!(judged(Direction::Rising, &dented), Pass);
    // too few, and not numbers
    assert_eq!(judged(Direction::Steady, &[1.0; 7]), Inconclusive);
    assert_eq!(judged(Direction::Steady, &[f64::NAN; 30]), Inconclusive);
    let constant = [5.0; 30];
    assert_eq!(judged(Direction::Rising, &constant), Fail);
    assert_eq!(judged(Direction::Steady, &constant), Pass);
    let falling: Vec<f64> = rising.iter().map(|value| -value).collect();
    assert_eq!(judged(Direction::Falling, &falling), Pass);
}

proptest! {
    /// Turning a series around turns its movement around; shifting its times changes nothing.
    #[test]
    fn movement_is_symmetric(values in prop::collection::vec(-1e6_f64..1e6, 8..60), shift in 0.0_f64..1e9) {
        let series: Vec<(f64, f64)> = (0_u32..).map(f64::from).zip(values.iter().copied()).collect();
        let turned: Vec<(f64, f64)> = series.iter().map(|(time, value)| (*time, -value)).collect();
        let shifted: Vec<(f64, f64)> = series.iter().map(|(time, value)| (time + shift, *value)).collect();
        let (one, other) = (trend::measure(&series).unwrap(), trend::measure(&turned).unwrap());
        prop_assert_eq!(one.deviate, -other.deviate);
        prop_assert!((one.change + other.change).abs() <= 1e-6 * one.change.abs().max(1.0));
        let later = trend::measure(&shifted).unwrap();
        prop_assert_eq!(one.deviate, later.deviate);
    }

    /// Whatever the looks were: a pass has at least one look that passed, and no broken limit.
    #[test]
    fn no_pass_by_accident(
        looks in prop::collection::vec(0_u8..6, 0..40),
        count in 1_u64..20, limit in 0_u64..4, row in prop::option::of(1_u64..4), kind in 0_u8..3,
    ) {
        let length = match kind {
            0 => Length::Count(count),
            1 => Length::For(Duration::from_secs(count)),
            _ => Length::Within(Duration::from_secs(count)),
        };
        let mut rule = rule(length);
        rule.failure_limit = Some(limit);
        rule.consecutive_successes = row;
        let mut tally = Tally::default();
        for (nth, look) in (1..).zip(&looks) {
            let mut sample = sample(nth, [Pass, Fail, Inconclusive, Error, Pass, Pass][*look as usize]);
            sample.missed = u64::from(*look == 4);
            sample.excused = *look == 5;
            take(&mut tally, &sample);
            prop_assert_eq!(tally.looks, tally.counted() + tally.excused + tally.early);
            if let Some((verdict, why)) = verdict(&rule, &tally, 0) {
                prop_assert!(!why.is_empty());
                if verdict == Pass {
                    prop_assert!(tally.passed > 0);
                    prop_assert!(tally.failed <= limit);
                    prop_assert!(tally.inconclusive == 0 && tally.error_row <= 4);
                }
                break;
            }
        }
    }
}

#[test]
fn a_trend_that_is_let_through_has_as_many_values_as_it_needs() {
    assert_eq!(
        u64::try_from(trend::LEAST),
        Ok(crate::runbook::watch::TREND_LOOKS)
    );
}
