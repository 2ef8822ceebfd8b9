//! The graph as SVG.

use std::fmt::Write as _;

use super::super::escape::shown;
use super::super::text::{clip, seconds, width};
use super::layout::Layout;
use super::{Critical, caption};
use crate::plan::Plan;

/// Pixels: height of a box, space between columns and rows, margin, height of the title.
const HIGH: f64 = 52.0;
const GAP_X: f64 = 64.0;
const GAP_Y: f64 = 26.0;
const MARGIN: f64 = 24.0;
const TITLE: f64 = 56.0;

/// The most columns of text in a box.
const TEXT: usize = 26;

/// No CSS variables: converters outside browsers do not know them.
const STYLE: &str = "\
text{font-family:system-ui,sans-serif;fill:#1f2328}.title{font-size:17px;font-weight:600}\
.name{font-size:14px;font-weight:600}.says{font-size:12px;fill:#59636e}\
.page{fill:#fff}.box{fill:#f6f8fa;stroke:#818b98;stroke-width:1.2}\
.edge{fill:none;stroke:#818b98;stroke-width:1.4}.head{fill:#818b98}\
.box.path,.edge.path{stroke:#0550ae;stroke-width:3}.head.path{fill:#0550ae}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.says{fill:#9198a1}.page{fill:#0d1117}\
.box{fill:#161b22}.box,.edge{stroke:#6e7681}.head{fill:#6e7681}\
.box.path,.edge.path{stroke:#79c0ff}.head.path{fill:#79c0ff}}";

/// The graph of a plan: boxes with name, steps and estimate; the critical path is thicker.
pub fn svg(plan: &Plan) -> String {
    let layout = Layout::of(&plan.graph);
    let critical = Critical::of(plan);
    let sheet = Sheet::of(plan, &layout, &critical);
    let mut out = String::new();
    let (wide, high) = (sheet.wide, sheet.high);
    let title = plan.runbook.title.as_deref().unwrap_or(&plan.runbook.name);
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.0} {high:.0}\" \
         width=\"{wide:.0}\" height=\"{high:.0}\" role=\"img\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        safe(title)
    );
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"32\">{}</text>",
        safe(&clip(&shown(title), 80))
    );
    if let Some(says) = path_words(plan, &critical) {
        let _ = writeln!(
            out,
            "<text class=\"says\" x=\"{MARGIN}\" y=\"52\">{}</text>",
            safe(&says)
        );
    }
    // edges first: boxes lie over their ends; the critical path lies over the others
    for wanted in [false, true] {
        for (from, to, way) in &layout.edges {
            let path = critical.has_edge(*from, *to);
            if path == wanted {
                sheet.edge(
                    layout.places[*from],
                    layout.places[*to],
                    way,
                    path,
                    &mut out,
                );
            }
        }
    }
    for (at, place) in layout.places.iter().enumerate() {
        sheet.one_box(plan, at, *place, critical.has(at), &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn path_words(plan: &Plan, critical: &Critical) -> Option<String> {
    let names = critical
        .path
        .iter()
        .map(|at| plan.runbook.phases[*at].name.as_str());
    let names: Vec<_> = names.collect();
    let total = seconds(critical.total);
    let says = format!("Critical path (thick): {}, {total}", names.join(" → "));
    (!names.is_empty()).then(|| clip(&shown(&says), 140))
}

/// Sizes in pixels.
struct Sheet {
    /// Left edge and width of each column.
    columns: Vec<(f64, f64)>,
    wide: f64,
    high: f64,
    /// Seconds of each phase.
    estimates: Vec<f64>,
}

impl Sheet {
    fn of(plan: &Plan, layout: &Layout, critical: &Critical) -> Self {
        let estimates = plan.estimates();
        let mut widest = vec![0_usize; layout.columns];
        for (at, (column, _)) in layout.places.iter().enumerate() {
            let name = width(&clip(&shown(&plan.runbook.phases[at].name), TEXT));
            let says = width(&caption(plan, &estimates, at));
            widest[*column] = widest[*column].max(name).max(says);
        }
        let mut columns = Vec::new();
        let mut left = MARGIN;
        for text in widest {
            let text = u32::try_from(text).unwrap_or(u32::MAX);
            let wide = (f64::from(text) * 8.2 + 32.0).max(96.0);
            columns.push((left, wide));
            left += wide + GAP_X;
        }
        let rows = f64::from(u32::try_from(layout.rows).unwrap_or(u32::MAX));
        let text = width(plan.runbook.title.as_deref().unwrap_or(&plan.runbook.name)).min(80);
        let says = path_words(plan, critical).map_or(0, |says| width(&says));
        let text = (f64::from(u32::try_from(text).unwrap_or(80)) * 9.5)
            .max(f64::from(u32::try_from(says).unwrap_or(140)) * 6.6);
        Self {
            wide: (left - GAP_X + MARGIN).max(text + 2.0 * MARGIN),
            high: TITLE + rows * (HIGH + GAP_Y) - GAP_Y + 2.0 * MARGIN,
            columns,
            estimates,
        }
    }

    fn top(row: f64) -> f64 {
        TITLE + MARGIN + row * (HIGH + GAP_Y)
    }

    fn one_box(
        &self,
        plan: &Plan,
        at: usize,
        (column, row): (usize, f64),
        path: bool,
        out: &mut String,
    ) {
        let phase = &plan.runbook.phases[at];
        let (left, wide) = self.columns[column];
        let (top, middle) = (Self::top(row), left + wide / 2.0);
        let class = if path { "box path" } else { "box" };
        let title = phase.title.as_deref().unwrap_or(&phase.name);
        let name = clip(&shown(&phase.name), TEXT);
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" \
             width=\"{wide:.1}\" height=\"{HIGH}\" rx=\"8\"/><text class=\"name\" \
             x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text class=\"says\" \
             x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
            safe(title),
            top + 23.0,
            safe(&name),
            top + 41.0,
            safe(&caption(plan, &self.estimates, at)),
        );
    }

    /// A curve from the right of a box to the left of another, level through what it passes.
    fn edge(
        &self,
        from: (usize, f64),
        to: (usize, f64),
        way: &[(usize, f64)],
        path: bool,
        out: &mut String,
    ) {
        let middle = |row: f64| Self::top(row) + HIGH / 2.0;
        let (left, wide) = self.columns[from.0];
        let (mut x, mut y) = (left + wide, middle(from.1));
        let mut curve = format!("M{x:.1} {y:.1}");
        let mut bend = |to_x: f64, to_y: f64| {
            let half = (to_x - x) / 2.0;
            let _ = write!(
                curve,
                " C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}",
                x + half,
                to_x - half
            );
            (x, y) = (to_x, to_y);
        };
        for (column, row) in way {
            let (left, wide) = self.columns[*column];
            bend(left, middle(*row));
            bend(left + wide, middle(*row));
        }
        let (end_x, end_y) = (self.columns[to.0].0, middle(to.1));
        bend(end_x - 9.0, end_y);
        let class = if path { " path" } else { "" };
        let _ = writeln!(
            out,
            "<path class=\"edge{class}\" d=\"{curve}\"/><path class=\"head{class}\" \
             d=\"M{end_x:.1} {end_y:.1} l-10 -5 v10 z\"/>"
        );
    }
}

/// Text inside markup.
fn safe(text: &str) -> String {
    shown(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
