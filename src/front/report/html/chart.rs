//! One watched value over time as a drawing: its line, broken where nobody looked, the looks that failed
//! or warned, and the limits that it is held against, by time band.

use super::super::super::text::{clip, ms};
use super::super::super::watched::number;
use super::page::Page;
use super::thin::{breaks, thinned};
use super::timeline::tick;
use crate::event::Sample;
use crate::expr::Verdict;
use crate::view::CheckView;

/// Width of the drawing, and where its field is.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 676.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 128.0;
const HEIGHT: f64 = 150.0;

/// Marks of one kind; of more, those that stand out are drawn.
const MARKS: usize = 300;

/// The time and the range of values that are drawn.
struct Field {
    from: i64,
    to: i64,
    low: f64,
    high: f64,
}

/// A limit that a value is held against.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    /// As it is said: `> 0.7`.
    pub(super) words: String,
    pub(super) at: f64,
}

/// What a drawing says with signs.
pub(super) fn legend(page: &mut Page) {
    page.raw(concat!(
        "<p class=\"legend\"><span class=\"dot bad\"></span>a look that failed ",
        "<span class=\"dot odd\"></span>with a warning ",
        "<span class=\"dot off\"></span>without an answer ",
        "<span class=\"key limit\"></span>what is expected ",
        "(the value dashed: looks between that were not kept) ",
        "<span class=\"key unseen\"></span>nobody looked</p>\n",
    ));
}

/// A value over time.
pub(super) fn value(check: &CheckView, path: &str, page: &mut Page) {
    let limits = limits_of(check, path);
    let warns = warnings_of(check, path);
    let Some(field) = Field::of(check, path, &limits, &warns) else {
        return;
    };
    page.tag("p", "label").code(path).end();
    page.raw("<div class=\"scroll\">\n<svg class=\"chart\" role=\"img\" aria-label=\"Values over time\" ");
    page.view_box(WIDTH, HEIGHT);
    field.unseen(check, page);
    field.axes(page);
    for (from, to, limit) in &limits {
        field.limit(*from, *to, limit, "limit", page);
    }
    for limit in &warns {
        field.limit(field.from, field.to, limit, "limit warn", page);
    }
    field.line(check, path, page);
    field.marks(check, Some(path), page);
    page.raw("</svg>\n</div>\n");
}

/// The looks of a check without numbers, on one line.
pub(super) fn strip(check: &CheckView, page: &mut Page) {
    let Some((first, last)) = check.samples.first().zip(check.samples.last()) else {
        return;
    };
    let field = Field {
        from: check.began_at.min(first.at),
        to: last.at.max(check.began_at + 1),
        low: 0.0,
        high: 2.0,
    };
    page.raw(
        "<div class=\"scroll\">\n<svg class=\"chart\" role=\"img\" aria-label=\"Looks over time\" ",
    );
    page.view_box(WIDTH, HEIGHT);
    field.unseen(check, page);
    field.times(page);
    let line = [
        ("x1", LEFT),
        ("y1", field.y(1.0)),
        ("x2", RIGHT),
        ("y2", field.y(1.0)),
    ];
    page.shape("line", "grid", &line);
    field.marks(check, None, page);
    page.raw("</svg>\n</div>\n");
    legend(page);
}

impl Field {
    fn of(
        check: &CheckView,
        path: &str,
        limits: &[(i64, i64, Limit)],
        warns: &[Limit],
    ) -> Option<Self> {
        let values = check.samples.iter().filter_map(|one| one.values.get(path));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| {
            (low.min(*one), high.max(*one))
        });
        let (first, last) = check.samples.first().zip(check.samples.last())?;
        if !(low.is_finite() && high.is_finite()) {
            return None;
        }
        // a limit that is far from every value would make a flat line of them
        let room = ((high - low) * 3.0).max(high.abs().max(low.abs()));
        let near = |limit: &&Limit| limit.at >= low - room && limit.at <= high + room;
        let limits = limits.iter().map(|(_, _, limit)| limit).chain(warns);
        let (mut low, mut high) = limits.filter(near).fold((low, high), |(low, high), limit| {
            (low.min(limit.at), high.max(limit.at))
        });
        let pad = match high - low {
            span if span > 0.0 => span * 0.08,
            _ => high.abs().max(1.0) * 0.1,
        };
        low -= pad;
        high += pad;
        Some(Self {
            from: check.began_at.min(first.at),
            to: last.at.max(check.began_at + 1),
            low,
            high,
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of a watch are far below 2^53"
    )]
    fn x(&self, at: i64) -> f64 {
        let share = (at - self.from) as f64 / (self.to - self.from).max(1) as f64;
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn axes(&self, page: &mut Page) {
        self.times(page);
        let step = round_step((self.high - self.low) / 3.0);
        let mut value = (self.low / step).ceil() * step;
        while value <= self.high {
            let y = self.y(value);
            let line = [("x1", LEFT), ("y1", y), ("x2", RIGHT), ("y2", y)];
            page.shape("line", "grid", &line);
            page.tag_at("text", "tick right", &[("x", LEFT - 6.0), ("y", y + 3.5)]);
            // 0.1 + 0.2
            let value_shown = (value / step).round() * step;
            page.text(&number(value_shown)).end();
            value += step;
        }
    }

    /// Times after the beginning.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds of a watch are far below 2^53, and ticks are positive"
    )]
    fn times(&self, page: &mut Page) {
        let span_s = (self.to - self.from) as f64 / 1_000.0;
        let step = (tick(span_s) * 1_000.0).max(1.0);
        let mut at = 0.0;
        while at <= span_s * 1_000.1 {
            let x = self.x(self.from + at as i64);
            let line = [("x1", x), ("y1", TOP), ("x2", x), ("y2", BOTTOM + 4.0)];
            page.shape("line", "grid", &line);
            page.tag_at("text", "tick", &[("x", x), ("y", BOTTOM + 16.0)]);
            page.text(&ms(at as u64)).end();
            at += step;
        }
    }

    /// Where nobody looked.
    fn unseen(&self, check: &CheckView, page: &mut Page) {
        for gap in check.gaps.iter().take(MARKS) {
            let (left, right) = (self.x(gap.from), self.x(gap.to));
            let numbers = [
                ("x", left),
                ("y", TOP),
                ("width", (right - left).max(1.5)),
                ("height", BOTTOM - TOP),
            ];
            page.shape("rect", "unseen", &numbers);
        }
    }

    fn limit(&self, from: i64, to: i64, limit: &Limit, class: &'static str, page: &mut Page) {
        let (left, right) = (self.x(from), self.x(to));
        let inside = limit.at >= self.low && limit.at <= self.high;
        let y = self.y(limit.at);
        if inside {
            let line = [("x1", left), ("y1", y), ("x2", right), ("y2", y)];
            page.shape("line", class, &line);
        }
        if from > self.from {
            let line = [("x1", left), ("y1", TOP), ("x2", left), ("y2", BOTTOM)];
            page.shape("line", "band", &line);
        }
        let beyond = match (inside, limit.at > self.high) {
            (true, _) => "",
            (false, true) => " ▴",
            (false, false) => " ▾",
        };
        let words = format!("{}{beyond}", clip(&limit.words, 12));
        // the last band has room beside the field
        let place = match right >= RIGHT - 1.0 {
            true => [("x", RIGHT + 5.0), ("y", y + 3.5)],
            false => [("x", left + 4.0), ("y", y - 3.0)],
        };
        page.tag_at("text", "said", &place).text(&words).end();
    }

    /// The line, in parts: it ends where nobody looked, and where there was no value. Over looks that
    /// were not kept goes a dashed step: their values are not known.
    fn line(&self, check: &CheckView, path: &str, page: &mut Page) {
        let mut part: Vec<(f64, f64)> = Vec::new();
        let breaks = breaks(check, path);
        let mut before = 0;
        for at in thinned(&check.samples, path) {
            let sample = &check.samples[at];
            let unkept = breaks[at] != std::mem::replace(&mut before, breaks[at]);
            let gap = check.gaps.iter().any(|gap| {
                gap.to <= sample.at
                    && part
                        .last()
                        .is_some_and(|(x, _)| self.x(gap.from) >= x - 0.01)
            });
            let value = sample.values.get(path);
            if gap || value.is_none() {
                self.part(&mut part, page);
            }
            let Some(value) = value else {
                continue;
            };
            let point = (self.x(sample.at), self.y(*value));
            if let Some((x, y)) = part.last().copied().filter(|_| unkept) {
                self.part(&mut part, page);
                let step = [(x, y), (point.0, y), point];
                page.points("polyline", "value unkept", &step);
            }
            part.push(point);
        }
        self.part(&mut part, page);
    }

    fn part(&self, part: &mut Vec<(f64, f64)>, page: &mut Page) {
        match part.as_slice() {
            [] => {}
            [(x, y)] => {
                let dot = [("cx", *x), ("cy", *y), ("r", 1.6)];
                page.shape("circle", "point", &dot);
            }
            points => {
                page.points("polyline", "value", points);
            }
        }
        part.clear();
    }

    /// Looks that failed, warned, or had no answer.
    fn marks(&self, check: &CheckView, path: Option<&str>, page: &mut Page) {
        let class = |sample: &Sample| match sample.verdict {
            _ if sample.early => None,
            Verdict::Fail if sample.excused => Some("mark bad hollow"),
            Verdict::Fail => Some("mark bad"),
            Verdict::Inconclusive | Verdict::Error => Some("mark off"),
            Verdict::Pass if !sample.warnings.is_empty() => Some("mark odd hollow"),
            Verdict::Pass => path.is_none().then_some("mark good"),
        };
        let marked: Vec<_> = check
            .samples
            .iter()
            .filter_map(|one| Some((one, class(one)?)))
            .collect();
        let every = marked.len().div_ceil(MARKS).max(1);
        let without =
            |one: &&(&Sample, &str)| path.is_some_and(|path| !one.0.values.contains_key(path));
        if marked.iter().step_by(every).any(|one| without(&one)) {
            let place = [("x", RIGHT + 5.0), ("y", TOP / 2.0 + 3.5)];
            page.tag_at("text", "said", &place).text("no value").end();
        }
        for (sample, class) in marked.iter().step_by(every) {
            let value = path.and_then(|path| sample.values.get(path));
            let y = match (value, path) {
                (Some(value), _) => self.y(*value),
                // no value is none at the lower end either
                (None, Some(_)) => TOP / 2.0,
                (None, None) => self.y(1.0),
            };
            let dot = [("cx", self.x(sample.at)), ("cy", y), ("r", 3.2)];
            page.shape("circle", class, &dot);
        }
    }
}

/// A round distance between lines: 1, 2 or 5 of some power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let found = [1.0, 2.0, 5.0].into_iter().find(|one| one * power >= least);
    found.unwrap_or(10.0) * power
}

/// The limits of a value with the times that they count for: those of every look, and those of bands.
fn limits_of(check: &CheckView, path: &str) -> Vec<(i64, i64, Limit)> {
    let outline = &check.outline;
    let end = check.last().map_or(check.began_at, |last| last.at);
    let always = outline.expect.iter().flat_map(|text| limits(text, path));
    let mut all: Vec<_> = always.map(|one| (check.began_at, end, one)).collect();
    let moment = |from_ms: u64| check.round_at.saturating_add_unsigned(from_ms);
    for (at, band) in outline.bands.iter().enumerate() {
        let from = moment(band.from_ms);
        let next = outline.bands.get(at + 1).map(|next| moment(next.from_ms));
        let to = next.map_or(end, |next| next.min(end));
        if from < to {
            let own = band.expect.iter().flat_map(|text| limits(text, path));
            all.extend(own.map(|one| (from, to, one)));
        }
    }
    all
}

/// The limits that warn, as far as some look crossed them.
fn warnings_of(check: &CheckView, path: &str) -> Vec<Limit> {
    let said = check.samples.iter().flat_map(|one| &one.warnings);
    let mut found: Vec<Limit> = Vec::new();
    for one in said.flat_map(|one| limits(&one.expression, path)) {
        if !found.contains(&one) && found.len() < 4 {
            found.push(one);
        }
    }
    found
}

/// Comparisons of a value with a number in the text of an expectation.
pub(super) fn limits(text: &str, path: &str) -> Vec<Limit> {
    const SIGNS: [(&str, &str); 6] = [
        (">=", "<="),
        ("<=", ">="),
        ("==", "=="),
        ("!=", "!="),
        (">", "<"),
        ("<", ">"),
    ];
    let name = format!("result.{path}");
    let parts = text.split("&&").flat_map(|part| part.split("||"));
    let one = |part: &str| {
        let part = part.trim().trim_matches(['(', ')']);
        let (sign, turned) = *SIGNS.iter().find(|(sign, _)| part.contains(sign))?;
        let (left, right) = part.split_once(sign)?;
        let (left, right) = (left.trim(), right.trim());
        let (sign, number) = match (left == name, right == name) {
            (true, _) => (sign, right),
            (_, true) => (turned, left),
            _ => return None,
        };
        let at: f64 = number.parse().ok().filter(|at: &f64| at.is_finite())?;
        Some(Limit {
            words: format!("{sign} {number}"),
            at,
        })
    };
    parts.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::thin::POINTS;
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let found = limits(text, "hit_rate");
        found.into_iter().map(|one| one.words).collect()
    }

    #[test]
    fn limits_are_read_from_comparisons_with_numbers_alone() {
        assert_eq!(of("result.hit_rate > 0.7"), ["> 0.7"]);
        assert_eq!(of("0.7 <= result.hit_rate"), [">= 0.7"]);
        assert_eq!(
            of("(result.hit_rate >= 0.5 && result.hit_rate < 1)"),
            [">= 0.5", "< 1"]
        );
        for other in [
            "result.hit_rate_x > 1",
            "result.hit_rate > baseline.hit_rate",
            "result.hit_rate > 1 + 2",
            "result.hit_rate",
            "",
        ] {
            assert!(of(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn lines_of_a_scale_are_round() {
        for (least, step) in [(0.3, 0.5), (7.0, 10.0), (0.012, 0.02), (400.0, 500.0)] {
            assert!((round_step(least) - step).abs() < 1e-9, "{least}");
        }
    }

    #[test]
    fn of_many_looks_the_outliers_stay() {
        let sample = |nth: u64, value: f64| Sample {
            nth,
            at: i64::try_from(nth).unwrap(),
            elapsed_ms: nth,
            took_ms: 0,
            verdict: Verdict::Pass,
            values: std::iter::once(("v".to_owned(), value)).collect(),
            evidence: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            band: None,
            early: false,
            excused: false,
            missed: 0,
            clock_jump_ms: 0,
        };
        let mut all: Vec<Sample> = (1..=5_000).map(|nth| sample(nth, 1.0)).collect();
        all[2_345].values.insert("v".into(), 99.0);
        let drawn = thinned(&all, "v");
        assert!(drawn.len() <= POINTS, "{}", drawn.len());
        assert!(drawn.contains(&2_345));
        assert!(drawn.is_sorted());
        // 1,000 ms apart and nothing kept between: known only where both say the same
        let mut check = CheckView::default();
        check.outline.every_ms = 100;
        check.samples = [(1, 1.0), (2, 5.0), (12, 5.0), (22, 7.0), (24, 9.0)]
            .map(|(nth, value)| Sample {
                at: i64::try_from(nth * 100).unwrap(),
                ..sample(nth, value)
            })
            .to_vec();
        assert_eq!(breaks(&check, "v"), [0, 0, 0, 1, 1]);
        check.samples[2].verdict = Verdict::Fail;
        assert_eq!(breaks(&check, "v"), [0, 0, 1, 2, 2]);
    }
}
