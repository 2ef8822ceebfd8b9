//! What is watched in the picture of a run: a block for each step that watches, a line for all guards,
//! a line for the decision point.

use super::super::look::Tone;
use super::super::text::{between, clip, pad, width};
use super::super::watched::{band, bars, millis, next, number, series, standing, tally_words};
use super::super::{decide, escape::shown};
use super::frame::{Scene, WIDE};
use crate::view::CheckView;

/// The most values of one step.
const VALUES: usize = 3;

/// The most bars of a sparkline.
const BARS: usize = 40;

/// Guards that are named, of those that do not hold.
const NAMED: usize = 3;

impl Scene<'_> {
    /// How long a step still watches, and when it looks next.
    pub(super) fn watches(&self, check: &CheckView) -> String {
        let mut parts = Vec::new();
        parts.extend(next(check, self.now));
        if let Some(end) = check.ends_at().filter(|end| *end > self.now) {
            parts.push(format!("{} left", between(self.now, end)));
        } else if let Some(count) = check.outline.count {
            let left = count.saturating_sub(check.tally.counted());
            parts.push(format!("{left} looks left"));
        }
        parts.join(", ")
    }

    /// The lines below a step that watches.
    pub(super) fn watched(&self, check: &CheckView, columns: usize, lines: &mut Vec<String>) {
        let indent = if columns < WIDE { "   " } else { "      " };
        let (tone, words) = standing(check, false);
        let there = |path: &&String| {
            check
                .samples
                .iter()
                .any(|one| one.values.contains_key(*path))
        };
        let paths = check.outline.watched.iter().filter(there).take(VALUES);
        let paths: Vec<&String> = paths.collect();
        let name = paths.iter().map(|path| width(&shown(path))).max();
        let name = name.unwrap_or(0).min(columns / 3);
        for path in paths {
            let values = series(check, path, BARS);
            let last = values.iter().rev().find_map(|value| *value);
            let last = last.map_or_else(String::new, number);
            let label = pad(&clip(&shown(path), name), name);
            let taken = width(indent) + name + width(&last) + 4;
            let bars = bars(&values, columns.saturating_sub(taken).min(BARS));
            lines.push(clip(&format!("{indent}{label}  {bars}  {last}"), columns));
        }
        let text = format!("{}: {}", shown(&words), tally_words(&check.tally));
        let text = clip(&text, columns.saturating_sub(width(indent)));
        lines.push(format!("{indent}{}", tone.paint(&text, self.colour)));
        if let Some(band) = band(check, self.now).filter(|_| columns >= WIDE) {
            lines.push(clip(&format!("{indent}{band}"), columns));
        }
    }

    /// One line about all guards that are looked at; those that do not hold by name.
    pub(super) fn guards(&self, columns: usize) -> Option<String> {
        let guards = self.view.checks.iter();
        let guards: Vec<&CheckView> = guards
            .filter(|check| check.outline.guard && check.is_open())
            .collect();
        if guards.is_empty() {
            return None;
        }
        let mut bad: Vec<(Tone, String)> = Vec::new();
        let mut unseen = 0;
        for guard in &guards {
            let (tone, words) = standing(guard, false);
            match tone {
                Tone::Bad | Tone::Odd => {
                    bad.push((tone, format!("`{}` {}", shown(&guard.name), shown(&words))));
                }
                _ if guard.tally.looks == 0 => unseen += 1,
                _ => {}
            }
        }
        bad.sort_by_key(|(tone, _)| *tone != Tone::Bad);
        let tone = bad.first().map_or(Tone::Good, |(tone, _)| *tone);
        let mut text = format!("  guards  {} watched", guards.len());
        match (bad.is_empty(), unseen) {
            (true, 0) => text.push_str(", all hold"),
            (true, unseen) if unseen < guards.len() => {
                text.push_str(&format!(", {unseen} not looked at yet, the others hold"));
            }
            (true, _) => text.push_str(", not looked at yet"),
            (false, _) => {
                let named: Vec<_> = bad
                    .iter()
                    .take(NAMED)
                    .map(|(_, text)| text.as_str())
                    .collect();
                text.push_str(&format!(": {}", named.join(", ")));
                if bad.len() > NAMED {
                    text.push_str(&format!(" and {} more", bad.len() - NAMED));
                }
            }
        }
        Some(tone.paint(&clip(&text, columns), self.colour))
    }

    /// By when it has to be decided, and since when the system is down.
    pub(super) fn notes(&self, columns: usize, lines: &mut Vec<String>) {
        if let Some(down) = self.view.downtime(self.now).filter(|down| down.ms > 0) {
            let budget = self.view.header.window.downtime_s;
            let over = budget.is_some_and(|budget| millis(budget) < down.ms);
            let text = super::super::watched::downtime_words(&down, budget, false);
            let tone = match (over, down.is_open()) {
                (true, _) => Tone::Bad,
                (false, true) => Tone::Odd,
                _ => Tone::Quiet,
            };
            let text = clip(&format!("  down  {text}"), columns);
            lines.push(tone.paint(&text, self.colour));
        }
        if let Some(text) = decide::brief(self.view, self.now) {
            lines.push(clip(&format!("  {text}"), columns));
        }
    }
}
