//! A run that is watched: a guard that measures downtime, one that only tells, a step that watches a
//! value by time bands, and a gap in which nobody looked.

use std::collections::BTreeMap;

use super::{Story, beginning_of, evidence, planned, report};
use crate::event::{
    BandOutline, CheckEvent, CheckOutline, Event, Judgement, RunEvent, RunStatus, Sample, Tally,
    Then, WindowOutline,
};
use crate::expr::{Evidence, Verdict};

/// A guard over the site that answers or not.
pub(crate) fn site() -> CheckOutline {
    CheckOutline {
        title: Some("The site answers".into()),
        guard: true,
        action: "http".into(),
        target: Some("site".into()),
        every_ms: 1_000,
        during: vec!["deploy".into(), "validate".into()],
        rule: "5 looks in a row fail".into(),
        then: Some(Then::Rollback),
        downtime: true,
        expect: vec!["result.status == 200".into()],
        watched: vec!["status".into()],
        ..CheckOutline::default()
    }
}

/// A guard that only tells.
pub(crate) fn keys() -> CheckOutline {
    CheckOutline {
        guard: true,
        action: "redis.info".into(),
        target: Some("cache".into()),
        every_ms: 1_000,
        during: vec!["deploy".into()],
        rule: "one look fails".into(),
        then: Some(Then::Notify),
        expect: vec!["result.evicted == 0".into()],
        watched: vec!["evicted".into()],
        ..CheckOutline::default()
    }
}

/// A step that watches a rate by time bands.
pub(crate) fn login() -> CheckOutline {
    let band = |from_ms, expect: &str| BandOutline {
        from_ms,
        expect: vec![expect.into()],
    };
    CheckOutline {
        action: "redis.stats".into(),
        target: Some("cache".into()),
        every_ms: 1_000,
        length_ms: Some(60_000),
        rule: "more than 1 look fails".into(),
        bands: vec![
            band(0, "result.hit_rate >= 0.2"),
            band(30_000, "result.hit_rate >= 0.6"),
        ],
        trends: vec!["hit_rate rising".into()],
        watched: vec!["hit_rate".into()],
        ..CheckOutline::default()
    }
}

/// Counts looks as the engine does, as far as readers see it.
pub(crate) struct Looks {
    check: &'static str,
    began: i64,
    tally: Tally,
}

impl Looks {
    pub(crate) fn of(check: &'static str, story: &Story) -> Self {
        Self {
            check,
            began: story.at,
            tally: Tally::default(),
        }
    }

    /// A look at the story's time.
    pub(crate) fn look(
        &mut self,
        story: Story,
        (path, value): (&str, Option<f64>),
        verdict: Verdict,
        more: impl FnOnce(&mut Sample),
    ) -> Story {
        let tally = &mut self.tally;
        let mut sample = Sample {
            nth: tally.looks + 1,
            at: story.at,
            elapsed_ms: u64::try_from(story.at - self.began).unwrap(),
            took_ms: 3,
            verdict,
            values: value
                .map(|value| (path.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            evidence: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            band: None,
            early: false,
            excused: false,
            missed: 0,
            clock_jump_ms: 0,
        };
        more(&mut sample);
        tally.looks += 1;
        tally.missed += sample.missed;
        tally.kept += 1;
        tally.last_at = sample.at;
        tally.first_at = if tally.first_at == 0 {
            sample.at
        } else {
            tally.first_at
        };
        tally.elapsed_ms = sample.elapsed_ms;
        tally.passed_row = 0;
        match verdict {
            Verdict::Fail => {
                tally.failed_row += 1;
                if tally.failing_since.is_none() {
                    tally.failing_since = Some(sample.at);
                    tally.failing_spans += 1;
                }
            }
            _ => {
                if let Some(since) = tally.failing_since.take() {
                    tally.failing_ms += u64::try_from(sample.at - since).unwrap();
                }
                tally.failed_row = 0;
            }
        }
        match (sample.excused, verdict) {
            (true, _) => tally.excused += 1,
            (false, Verdict::Pass) => {
                tally.passed += 1;
                tally.passed_row += 1;
                tally.warned += u64::from(!sample.warnings.is_empty());
            }
            (false, Verdict::Fail) => tally.failed += 1,
            (false, Verdict::Inconclusive) => tally.inconclusive += 1,
            (false, Verdict::Error) => tally.errors += 1,
        }
        story.tell(CheckEvent::Looked {
            check: self.check.into(),
            sample: Box::new(sample),
            tally: Box::new(tally.clone()),
        })
    }

    pub(crate) fn judgement(
        &self,
        verdict: Verdict,
        why: &str,
        evidence: Vec<Evidence>,
        then: Option<Then>,
    ) -> Box<Judgement> {
        Box::new(Judgement {
            verdict,
            why: why.into(),
            tally: self.tally.clone(),
            evidence,
            then,
        })
    }

    fn judged(&self, story: Story, judgement: Box<Judgement>) -> Story {
        story.tell(CheckEvent::Judged {
            check: self.check.into(),
            judgement,
        })
    }

    pub(crate) fn ended(&self, story: Story, verdict: Verdict, why: &str) -> Story {
        story.tell(CheckEvent::Ended {
            check: self.check.into(),
            judgement: self.judgement(verdict, why, Vec::new(), None),
        })
    }
}

pub(crate) fn began(story: Story, check: &str, outline: CheckOutline) -> Story {
    story.tell(CheckEvent::Began {
        check: check.into(),
        outline: Box::new(outline),
    })
}

fn refused(sample: &mut Sample) {
    sample.failure = Some("`site` at 127.0.0.1:8000 does not answer".into());
}

/// A run that comes to its end: the site was away for 3 s, keys were evicted, nobody looked for 20 s
/// while `login` watched, and its rate warned.
#[expect(
    clippy::too_many_lines,
    reason = "a story from its beginning to its end"
)]
pub(crate) fn watched() -> Vec<Event> {
    let mut planned = planned();
    planned.window = WindowOutline {
        total_s: Some(600.0),
        downtime_s: Some(2.0),
        decide_after: Some("deploy".into()),
        decide_within_s: Some(30.0),
        ..WindowOutline::default()
    };
    let story = Story::new().tell(RunEvent::Planned(Box::new(planned)));
    let story = beginning_of(story);
    let story = began(story, "site", site());
    let mut site = Looks::of("site", &story);
    let mut story = began(story, "keys", keys());
    let mut keys = Looks::of("keys", &story);
    for (at, up) in [true, true, false, false, false, true]
        .into_iter()
        .enumerate()
    {
        let value = up.then_some(200.0);
        let verdict = if up { Verdict::Pass } else { Verdict::Fail };
        story = site.look(story.after(500), ("status", value), verdict, |sample| {
            if !up {
                refused(sample);
            }
        });
        if at == 1 {
            let gone = [evidence(
                "result.evicted == 0",
                Verdict::Fail,
                &[("result.evicted", "12")],
            )];
            let own = gone.to_vec();
            story = keys.look(story, ("evicted", Some(12.0)), Verdict::Fail, |sample| {
                sample.evidence = own;
            });
            let said = keys.judgement(
                Verdict::Fail,
                "a look failed",
                gone.to_vec(),
                Some(Then::Notify),
            );
            story = keys.judged(story, said);
        }
        story = story.after(500);
    }
    story = story.done("restart[1]", report(1_000, "./ops/appctl restart 2"));
    story = keys.ended(story, Verdict::Fail, "a look failed");
    let story = story.start("login");
    let mut story = began(story, "login", login());
    let mut login = Looks::of("login", &story);
    for second in 0..=60_i32 {
        // the engine stood still
        if (35..55).contains(&second) {
            story = story.after(1_000);
            continue;
        }
        let rate = 0.25 + f64::from(second) / 60.0 * 0.5;
        let low = second == 30;
        let rate = if low { 0.41 } else { rate };
        let value = format!("{rate}");
        let band = usize::from(second >= 30);
        story = login.look(
            story,
            ("hit_rate", Some(rate)),
            if low { Verdict::Fail } else { Verdict::Pass },
            |sample| {
                sample.band = Some(band);
                sample.missed = if second == 55 { 20 } else { 0 };
                let said =
                    |text: &str| evidence(text, Verdict::Fail, &[("result.hit_rate", &value)]);
                if low {
                    sample.evidence = vec![said("result.hit_rate >= 0.6")];
                } else if rate < 0.45 {
                    sample.warnings = vec![said("result.hit_rate >= 0.45")];
                }
            },
        );
        if second < 60 {
            story = story.after(1_000);
        }
    }
    let trend = Evidence {
        reason: Some("rises by 0.5".into()),
        ..evidence("trend: hit_rate rising", Verdict::Pass, &[])
    };
    let said = login.judgement(
        Verdict::Pass,
        "40 of 41 looks passed, within the limits",
        vec![trend],
        None,
    );
    story = login.judged(story, said);
    story = story.done("login", report(60_000, "41 looks, 40 passed"));
    site.ended(
        story,
        Verdict::Pass,
        "3 of 6 looks passed, within the limits",
    )
    .tell(RunEvent::Finished {
        status: RunStatus::Succeeded,
    })
    .events
}

/// The same run up to the moment in which the guard of the site holds it.
pub(crate) fn held() -> Vec<Event> {
    let story = Story::new().tell(RunEvent::Planned(Box::new(planned())));
    let story = beginning_of(story);
    let mut outline = site();
    outline.then = Some(Then::Pause);
    let mut story = began(story, "site", outline);
    let mut site = Looks::of("site", &story);
    for _ in 0..5 {
        story = site.look(story.after(1_000), ("status", None), Verdict::Fail, refused);
    }
    let said = site.judgement(
        Verdict::Fail,
        "5 looks in a row failed",
        Vec::new(),
        Some(Then::Pause),
    );
    site.judged(story, said)
        .tell(RunEvent::Stopping {
            reason: crate::event::Parking::Held,
        })
        .done("restart[1]", report(1_000, "./ops/appctl restart 2"))
        .tell(RunEvent::Parked {
            reason: crate::event::Parking::Held,
        })
        .events
}
