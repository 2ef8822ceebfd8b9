//! Where runs stand, for `ferry status` and `ferry runs`.
//!
//! Main functions: [`run`] for one run, [`runs`] for a table of all. Times are handed in; nothing
//! here reads a clock.

use std::collections::BTreeMap;

use super::decide::Decide;
use super::escape::shown;
use super::lines::{count_words, rollback_words, run_tone};
use super::look::Tone;
use super::report::Held;
use super::text::{between, clip, moment, ms, pad, seconds, table, wrap};
use super::watched::{self, Room};
use crate::event::RunStatus;
use crate::view::{ItemStatus, RunView, StepStatus, Timeline};

/// How a text is to be laid out.
#[derive(Clone, Debug)]
pub struct Page {
    /// The time to measure running things by, in milliseconds since the Unix epoch.
    pub now: i64,
    /// Columns there are.
    pub columns: usize,
    /// Whether colour says something.
    pub colour: bool,
    /// Whether an engine carries the run on; without one, a run on its way was interrupted.
    pub live: bool,
    /// Whether signatures hold, by the event that records them.
    pub held: BTreeMap<u64, Held>,
    /// By when it has to be decided whether it goes back.
    pub decide: Option<Decide>,
}

/// One run: where it stands, its phases, what is under way, what failed, and the commands that come
/// next (the caller knows them).
pub fn run(view: &RunView, next: &[String], page: &Page) -> String {
    // a run that was stopped takes no more time
    let stands = !page.live || !view.status.is_active();
    let now = match view.last_at {
        Some(at) if stands => at,
        _ => page.now,
    };
    let clock = page.now;
    let page = &Page {
        now,
        ..page.clone()
    };
    let mut out = Vec::new();
    // what stands still ends later all the same
    let until = if view.status.is_over() && view.ended_at.is_some() {
        now
    } else {
        clock
    };
    let over = view.is_closed();
    let looked = if page.live && !over { clock } else { now };
    head(
        view,
        page,
        (clock, looked),
        &Timeline::of(view, until),
        &mut out,
    );
    let mut text = lines(out);
    text.push('\n');
    text.push_str(&phases(view, page));
    let mut out = Vec::new();
    under_way(view, page, &mut out);
    // a watch ends by the clock of the wall, also where its run stands still
    let room = Room {
        now: if over { now } else { clock },
        columns: page.columns,
        colour: page.colour,
        live: page.live && !over,
        goes_on: !stands,
        over,
    };
    out.extend(watched::lines(view, room));
    warnings(view, page, &mut out);
    asked(view, page, &mut out);
    rollback(view, page, &mut out);
    failure(view, page, &mut out);
    let closing = super::closing::lines(view, &page.held, clock).into_iter();
    out.extend(closing.map(|line| clip(&line, page.columns)));
    if !next.is_empty() {
        out.push(String::new());
        out.push("next".into());
        // a command is not cut: it is there to be copied
        out.extend(next.iter().map(|command| format!("  {}", shown(command))));
    }
    text.push_str(&lines(out));
    text
}

fn lines(lines: Vec<String>) -> String {
    lines.into_iter().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

/// The head. `times`: the clock of the wall, and up to when guards measured.
fn head(
    view: &RunView,
    page: &Page,
    times: (i64, i64),
    timeline: &Timeline,
    out: &mut Vec<String>,
) {
    let interrupted = view.status.is_active() && !page.live;
    let (word, tone) = match interrupted {
        true => ("interrupted", Tone::Bad),
        false => (view.status.words(), run_tone(view.status)),
    };
    let status = tone.paint(word, page.colour);
    out.push(format!("{status}  {}", shown(&view.id)));
    let mut say = |word: &str, text: &str| {
        let text = shown(text);
        let mut parts = wrap(&text, page.columns.saturating_sub(12)).into_iter();
        let first = parts.next().unwrap_or_default();
        out.push(format!("  {}{first}", pad(word, 10)));
        out.extend(parts.map(|part| format!("            {part}")));
    };
    let title = match &view.header.title {
        Some(title) => format!("{}: {title}", view.header.name),
        None => view.header.name.clone(),
    };
    say("runbook", &title);
    if let Some(text) = view.header.options.elsewhere() {
        say("rehearsal", &text);
    }
    if let Some(engine) = view.engines.last() {
        say("operator", &format!("{} on {}", engine.by, engine.host));
    }
    if let Some(started) = view.started_at {
        say("started", &moment(started));
    }
    if let Some(took) = view.took_ms(page.now) {
        let word = if view.ended_at.is_some() || !view.status.is_active() || interrupted {
            "took"
        } else {
            "for"
        };
        say(word, &ms(took));
    }
    say("steps", &count_words(view));
    for (word, text) in super::times::lines(view, timeline) {
        say(word, &text);
    }
    for (word, text) in decision(view, page, times) {
        say(word, &text);
    }
    standing(view, interrupted, &mut say);
}

/// Why it does not go on.
fn standing(view: &RunView, interrupted: bool, say: &mut dyn FnMut(&str, &str)) {
    if let Some((_, why)) = view
        .parked
        .last()
        .filter(|_| view.status == RunStatus::Waiting)
    {
        say("stopped", why.words());
    }
    if let Some(text) = held(view) {
        say("held", &text);
    }
    if interrupted {
        let text = format!(
            "{} when its engine ended; nothing carries it on",
            view.status.words()
        );
        say("stopped", &text);
    }
}

/// By when it has to be decided whether it goes back, and how long the system was down.
fn decision(
    view: &RunView,
    page: &Page,
    (clock, looked): (i64, i64),
) -> Vec<(&'static str, String)> {
    let lines = page.decide.iter().flat_map(|one| one.lines(clock));
    let word = |at: usize| if at == 0 { "decision" } else { "" };
    let mut said: Vec<_> = lines
        .enumerate()
        .map(|(at, text)| (word(at), text))
        .collect();
    if let Some(down) = view.downtime(looked) {
        let text = watched::downtime_words(&down, view.header.window.downtime_s, view.is_closed());
        said.push(("downtime", text));
    }
    said
}

/// The guard that holds the run, and what to do.
fn held(view: &RunView) -> Option<String> {
    if view.status.is_over() && !view.status.is_parked() {
        return None;
    }
    let (guard, said) = view.held_by()?;
    Some(format!(
        "by guard `{}`: {}{}; `ferry resume` goes on and looks afresh, `ferry rollback` goes back",
        guard.name,
        said.why,
        watched::past_point(guard, said)
    ))
}

fn phases(view: &RunView, page: &Page) -> String {
    let head = ["phase", "status", "steps", "took", "estimate"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for phase in &view.phases {
        let took = phase.took_ms(page.now).map_or("-".into(), ms);
        rows.push(vec![
            shown(&phase.name).into_owned(),
            view.phase_status(phase).words().to_owned(),
            format!("{}/{}", phase.over, phase.steps.len()),
            match phase.late_ms(page.now) {
                Some(_) => format!("{took} (late)"),
                None => took,
            },
            phase.estimate_s.map_or("-".into(), seconds),
        ]);
    }
    table(&rows, page.columns)
}

fn under_way(view: &RunView, page: &Page, out: &mut Vec<String>) {
    let running = view.running();
    if running.is_empty() {
        return;
    }
    out.push(String::new());
    let head = match page.live {
        true => "under way",
        false => "under way when it stopped",
    };
    out.push(head.into());
    for (name, step) in running {
        let since = between(step.started_at.unwrap_or(page.now), page.now);
        let paused = view.is_watch_paused(&name, step);
        let word = match paused {
            true => "stopped watching, goes on when the run does",
            false => step.status.words(),
        };
        let mut line = format!("  {}  {word}, {since}", shown(&name));
        if let (StepStatus::Waiting, Some(at), false) = (step.status, step.retry_at, paused) {
            let wait = between(page.now, at);
            line.push_str(&format!(", attempt {} in {wait}", step.attempt + 1));
        }
        out.push(clip(&line, page.columns));
    }
}

/// What should hold of steps that are over, and does not.
fn warnings(view: &RunView, page: &Page, out: &mut Vec<String>) {
    let steps = view.each_step().filter_map(|(name, step)| {
        let report = step.report.as_deref()?;
        (!report.warnings.is_empty()).then(|| (name, report.warnings.clone()))
    });
    let steps: Vec<_> = steps
        .filter(|(name, _)| view.check(name).is_none())
        .collect();
    if steps.is_empty() {
        return;
    }
    out.push(String::new());
    out.push(Tone::Odd.paint("warnings", page.colour));
    for (name, warnings) in steps {
        for one in warnings {
            let text = format!("{}: {}", shown(&name), shown(&watched::why(&one)));
            let lines = wrap(&text, page.columns.saturating_sub(2)).into_iter();
            out.extend(lines.map(|line| format!("  {line}")));
        }
    }
}

fn asked(view: &RunView, page: &Page, out: &mut Vec<String>) {
    if view.asked.is_empty() {
        return;
    }
    out.push(String::new());
    out.push(Tone::Odd.paint("to be answered", page.colour));
    for one in &view.asked {
        let asks = one.question.words();
        let text = format!("{}: {asks} ({})", shown(&one.step), shown(&one.why));
        let lines = wrap(&text, page.columns.saturating_sub(2)).into_iter();
        out.extend(lines.map(|line| format!("  {line}")));
    }
}

fn rollback(view: &RunView, page: &Page, out: &mut Vec<String>) {
    let Some(rollback) = &view.rollback else {
        return;
    };
    out.push(String::new());
    out.push(clip(
        &format!("rollback  {}", rollback_words(rollback)),
        page.columns,
    ));
    for item in &rollback.items {
        let tone = match item.status {
            ItemStatus::Done => Tone::Good,
            ItemStatus::Failed | ItemStatus::Held => Tone::Bad,
            _ => Tone::Neutral,
        };
        let why = match item.failures.last() {
            Some(failed) => format!(": {}", shown(&failed.failure.message)),
            None => item
                .skipped
                .as_ref()
                .map_or(String::new(), |why| format!(": {}", shown(why))),
        };
        let word = item.status.words();
        let room = page.columns.saturating_sub(4 + word.len());
        let rest = clip(&format!("{}{why}", shown(&item.item.id)), room);
        out.push(format!("  {}  {rest}", tone.paint(word, page.colour)));
    }
    for one in &rollback.not_undone {
        let text = format!("  not undone  {}: {}", shown(&one.step), shown(&one.why));
        out.push(clip(&text, page.columns));
    }
}

fn failure(view: &RunView, page: &Page, out: &mut Vec<String>) {
    let Some(failure) = &view.failure else {
        return;
    };
    out.push(String::new());
    out.push(Tone::Bad.paint("failure", page.colour));
    let room = page.columns.saturating_sub(2);
    let mut say = |text: &str| {
        let lines = wrap(&shown(text), room).into_iter();
        out.extend(lines.map(|line| format!("  {line}")));
    };
    say(&failure.summary());
    if let Some(hint) = &failure.failure.hint {
        say(&format!("hint: {hint}"));
    }
}

/// One row of the table of runs.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// The run's id.
    pub id: String,
    /// Its runbook's name.
    pub runbook: String,
    /// Where it stands.
    pub status: RunStatus,
    /// First start, in milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// Its end, or the time to measure it by.
    pub until: i64,
    /// Whether an engine carries it on.
    pub live: bool,
}

impl RunRow {
    /// The row of a run; `now` measures one that goes on.
    pub fn of(view: &RunView, now: i64) -> Self {
        Self {
            id: view.id.clone(),
            runbook: view.header.name.clone(),
            status: view.status,
            started_at: view.started_at,
            until: view.ended_at.unwrap_or(now),
            live: true,
        }
    }
}

/// The table of runs, in the order given.
pub fn runs(rows: &[RunRow], page: &Page) -> String {
    if rows.is_empty() {
        return "no runs yet\n".into();
    }
    let head = ["id", "runbook", "status", "started", "took"];
    let mut cells: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        cells.push(vec![
            shown(&row.id).into_owned(),
            shown(&row.runbook).into_owned(),
            match row.status.is_active() && !row.live && row.status != RunStatus::Planned {
                true => "interrupted".to_owned(),
                false => row.status.words().to_owned(),
            },
            row.started_at.map_or("-".into(), moment),
            row.started_at
                .map_or("-".into(), |start| between(start, row.until)),
        ]);
    }
    table(&cells, page.columns)
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::super::text::width;
    use super::*;
    use crate::view::samples::{self, START};

    fn page(now: i64, columns: usize) -> Page {
        Page {
            now,
            columns,
            colour: false,
            held: BTreeMap::new(),
            decide: None,
            live: true,
        }
    }

    #[test]
    fn a_run_on_its_way() {
        let events = samples::rolled_back(false);
        let view = RunView::replay(&events[..16]).with_id("r1");
        let text = run(&view, &[], &page(START + 4_200, 80));
        golden::same("status-running.txt", &text);
    }

    #[test]
    fn a_run_whose_rollback_failed() {
        let view = RunView::replay(&samples::rolled_back(true)).with_id("r1");
        let next = ["ferry report r1".to_owned()];
        let text = run(&view, &next, &page(START, 80));
        golden::same("status-rollback-failed.txt", &text);
        for columns in [20, 30, 40] {
            let text = run(&view, &[], &page(START, columns));
            let wide = text.lines().find(|line| width(line) > columns);
            assert!(wide.is_none(), "{columns}: {wide:?}");
        }
    }

    #[test]
    fn the_clock_of_a_run_that_was_stopped_stands_still() {
        let mut events = samples::rolled_back(false)[..16].to_vec();
        let last = events.last().unwrap().clone();
        events.push(crate::event::Event {
            seq: last.seq + 1,
            at: START + 5_000,
            kind: crate::event::RunEvent::Parked {
                reason: crate::event::Parking::Interrupt,
            }
            .into(),
        });
        let view = RunView::replay(&events).with_id("r1");
        let text = run(&view, &[], &page(START + 3_600_000, 80));
        assert!(text.contains("\n  took      5s\n"), "{text}");
        assert!(!text.contains("1h"), "{text}");
    }

    #[test]
    fn what_is_watched_stands_below() {
        let events = samples::watched();
        let of_login = |event: &&crate::event::Event| matches!(&event.kind, crate::event::EventKind::Check(one) if one.check() == "login");
        let last = events.iter().filter(of_login).nth(33).unwrap();
        let until = events.iter().filter(|event| event.seq <= last.seq);
        let view = RunView::replay(until).with_id("r1");
        let now = last.at + 400;
        let page = Page {
            decide: Decide::of(&view, None),
            ..page(now, 80)
        };
        golden::same("status-watched.txt", &run(&view, &[], &page));
        for columns in [20, 30, 40, 60] {
            let page = Page {
                columns,
                ..page.clone()
            };
            let text = run(&view, &[], &page);
            let wide = text.lines().find(|line| width(line) > columns);
            assert!(wide.is_none(), "{columns}: {wide:?}");
        }
    }

    /// The watched sample up to a look of `login`, which is open.
    fn watching() -> Vec<crate::event::Event> {
        let mut events = samples::watched();
        let of_login = |event: &crate::event::Event| matches!(&event.kind, crate::event::EventKind::Check(one) if one.check() == "login");
        let places = events.iter().enumerate();
        let at = places.filter(|(_, event)| of_login(event)).nth(33);
        let (at, _) = at.unwrap();
        events.truncate(at + 1);
        events
    }

    #[test]
    fn checks_of_a_run_that_is_over_are_past_and_those_of_a_parked_one_have_a_clock() {
        let mut view = RunView::replay(&watching()).with_id("r1");
        let last = view.last_at.unwrap();
        let left = view.check("login").unwrap().ends_at().unwrap() - last;
        view.status = RunStatus::Waiting;
        for (later, left) in [(0, left), (2_000, left - 2_000)] {
            let stands = Page {
                live: false,
                ..page(last + later, 300)
            };
            let text = run(&view, &[], &stands);
            let left = format!("nobody looks now, {} left", between(0, left));
            assert!(text.contains(&left), "no {left} in\n{text}");
        }
        // guards are looked at while an engine holds the run, steps are not
        let text = run(&view, &[], &page(last + 100, 300));
        let (_, watched) = text.split_once("\nwatched\n").unwrap();
        let (_, site) = watched.split_once("guard site").unwrap();
        let looks = site.lines().nth(1).unwrap();
        assert!(looks.contains("next in"), "{looks}");
        let (_, login) = watched.split_once("  login  ").unwrap();
        let looks = login.lines().nth(1).unwrap();
        assert!(looks.contains("nobody looks now"), "{looks}");
        view.status = RunStatus::Aborted;
        view.ended_at = view.last_at;
        let text = run(&view, &[], &page(last + 5_000, 120));
        assert!(text.contains("looked at no more, no verdict"), "{text}");
        for now in [
            "next in",
            " left",
            "nobody looks now",
            "down since",
            "  holds",
        ] {
            assert!(!text.contains(now), "{now} in\n{text}");
        }
    }

    #[test]
    fn a_watch_that_is_stopped_with_its_run_is_no_attempt_that_failed() {
        use crate::event::{Cause, Failure, Outcome, StepEvent};
        let mut events = watching();
        let last = events.last().unwrap().clone();
        events.push(crate::event::Event {
            seq: last.seq + 1,
            at: last.at + 100,
            kind: StepEvent::Failed {
                step: "login".into(),
                attempt: 1,
                failure: Failure {
                    cause: Cause::Stopped,
                    outcome: Outcome::NotApplied,
                    message: "the watch was stopped before its end".into(),
                    hint: None,
                },
                report: Box::default(),
                retry_at: Some(last.at + 100),
                tolerated: false,
            }
            .into(),
        });
        let mut teller = super::super::lines::Teller::new();
        let told = events.iter().flat_map(|event| teller.tell(event));
        let told: Vec<String> = told.map(|line| line.text(false)).collect();
        let end = told.last().unwrap();
        assert!(
            end.ends_with("stopped watching; goes on when the run does"),
            "{end}"
        );
        let view = RunView::replay(&events).with_id("r1");
        let text = run(&view, &[], &page(last.at + 200, 120));
        assert!(
            text.contains("  login  stopped watching, goes on when the run does, "),
            "{text}"
        );
        assert!(
            !text.contains("retry") && !text.contains("attempt"),
            "{text}"
        );
        let proof = super::super::report::Proof::default();
        let report = super::super::report::markdown(&view, &proof);
        assert!(!report.contains("## Failures"), "{report}");
        let step = view.step("login").unwrap();
        assert_eq!(step.failures.len(), 1, "programs are told");
    }

    #[test]
    fn a_guard_that_may_not_go_back_any_more_says_so() {
        let mut view = RunView::replay(&samples::held()).with_id("r1");
        view.checks[0].outline.then = Some(crate::event::Then::Rollback);
        let text = run(&view, &[], &page(START + 60_000, 300));
        let why =
            "failed (the time in which failures go back by themselves is over); `ferry resume`";
        assert!(text.contains(why), "{text}");
    }

    #[test]
    fn a_guard_that_holds_the_run_is_named_with_what_to_do() {
        let view = RunView::replay(&samples::held()).with_id("r1");
        let page = Page {
            live: false,
            ..page(START + 60_000, 80)
        };
        golden::same("status-held.txt", &run(&view, &[], &page));
    }

    #[test]
    fn runs_stand_in_a_table() {
        let view = RunView::replay(&samples::success()).with_id("01J-r1");
        let mut going_on = RunView::replay(&samples::rolled_back(false)[..16]).with_id("02J");
        going_on.header.name = "other\u{1b}".into();
        let rows = [
            RunRow::of(&view, 0),
            RunRow::of(&going_on, START + 65_000),
            RunRow::of(&RunView::new().with_id("03J"), 0),
        ];
        assert_eq!(
            runs(&rows, &page(0, 100)),
            "\
id      runbook       status     started                  took
01J-r1  hybrid-cache  succeeded  2026-03-01 02:00:00 UTC  3.3s
02J     other\\x1b     running    2026-03-01 02:00:00 UTC  1m 05s
03J                   planned    -                        -
"
        );
        assert_eq!(runs(&[], &page(0, 80)), "no runs yet\n");
    }
}
