//! The page is held against a strict reader: every tag and every attribute is one that this program
//! writes, whatever the run says.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;

use super::super::{Proof, html, json, junit, markdown};
use crate::event::{Event, OutputKept, Report, RunEvent, RunStatus, StepOutline, UndoKind};
use crate::view::{RunView, samples};

const TAGS: &[&str] = &[
    "b", "body", "circle", "code", "dd", "details", "div", "dl", "dt", "h1", "h2", "h3", "h4",
    "head", "header", "html", "li", "line", "main", "meta", "p", "polyline", "pre", "rect",
    "section", "span", "strong", "style", "summary", "svg", "table", "tbody", "td", "text", "th",
    "thead", "title", "tr", "ul",
];

const VOID: &[&str] = &["meta"];

const ATTRIBUTES: &[&str] = &[
    "aria-label",
    "charset",
    "class",
    "content",
    "cx",
    "cy",
    "height",
    "http-equiv",
    "id",
    "lang",
    "name",
    "points",
    "r",
    "role",
    "rx",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

/// What a strict reader found in a page.
#[derive(Default)]
struct Read {
    tags: BTreeSet<String>,
    text: String,
}

/// Reads a page and panics at the first thing that does not belong there.
fn read(page: &str) -> Read {
    let mut rest = page.strip_prefix("<!doctype html>\n").expect("a doctype");
    let mut open: Vec<String> = Vec::new();
    let mut found = Read::default();
    while let Some(at) = rest.find('<') {
        text(&rest[..at], open.last().map(String::as_str), &mut found);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in order");
            continue;
        }
        let (name, attributes) = tag
            .split_once(' ')
            .unwrap_or((tag.trim_end_matches('/'), ""));
        assert!(TAGS.contains(&name), "<{tag}> is none of ours");
        self::attributes(attributes, tag);
        found.tags.insert(name.to_owned());
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        if name == "style" {
            let end = rest.find("</style>").expect("styles end");
            assert!(!rest[..end].contains("url("), "styles fetch nothing");
            assert!(!rest[..end].contains("@import"), "styles fetch nothing");
            rest = &rest[end..];
        }
    }
    text(rest, None, &mut found);
    assert!(open.is_empty(), "{open:?} are left open");
    found
}

fn attributes(mut rest: &str, tag: &str) {
    rest = rest.trim_end_matches('/');
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{tag}>"));
        assert!(ATTRIBUTES.contains(&name), "`{name}` in <{tag}>");
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("<{tag}>"));
        assert!(!value.contains(['<', '&', '`']), "{value:?} in <{tag}>");
        rest = after.trim_start();
    }
}

fn text(text: &str, inside: Option<&str>, found: &mut Read) {
    assert!(!text.contains('>'), "a stray `>`: {text:?}");
    for c in text.chars() {
        assert!(c == '\n' || !c.is_control(), "{c:?} in {text:?}");
        assert!(!"\u{202e}\u{200b}\u{2066}\u{feff}".contains(c), "{c:?}");
    }
    for after in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;", "#96;"];
        assert!(known.iter().any(|one| after.starts_with(one)), "&{after}");
    }
    if inside == Some("style") {
        return;
    }
    found.text.push_str(text);
    found.text.push('\n');
}

fn view(events: &[Event]) -> RunView {
    RunView::replay(events).with_id("r1")
}

fn proof(quote: &str) -> Proof {
    Proof {
        head: Some("ab".repeat(32)),
        witness: Some(9),
        problem: None,
        quotes: [("steps/restart.1/out".to_owned(), quote.to_owned())].into(),
        ..Proof::default()
    }
}

#[test]
fn a_page_of_every_run_is_well_formed() {
    let runs = [
        samples::success(),
        samples::rolled_back(false),
        samples::rolled_back(true),
        samples::signed(),
        samples::watched(),
        samples::held(),
    ];
    for events in runs {
        for count in [0, 1, 2, events.len() / 2, events.len()] {
            let found = read(&html(&view(&events[..count]), &proof(""), Some("a\n<b>\n")));
            assert!(found.text.contains("Migration report"));
            assert!(!found.tags.contains("script"));
        }
    }
}

#[test]
fn sections_stand_in_their_order() {
    let page = html(
        &view(&samples::rolled_back(false)),
        &proof("the last words"),
        None,
    );
    let mut at = 0;
    for title in [
        "Migration report",
        "Rolled back",
        "Waivers and reservations",
        "Summary",
        "People",
        "Timeline",
        "What failed",
        "Expectations and evidence",
        "Snapshots",
        "Rollback",
        "Success criteria",
        "Sign-off",
        "Appendix",
    ] {
        let found = page[at..]
            .find(title)
            .unwrap_or_else(|| panic!("no {title} behind {at}"));
        at += found;
    }
    let text = read(&page).text;
    for said in [
        "not measured",
        "none set",
        "the last words",
        "abababab",
        "3f2a9c51d0",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert!(!page.contains("id=\"seal\""));
    let sealed = html(
        &view(&samples::success()),
        &proof(""),
        Some("{\"a\": \"<b>\"}"),
    );
    assert!(sealed.contains(
        "<pre class=\"seal\" id=\"seal\">{&quot;a&quot;: &quot;&lt;b&gt;&quot;}\n</pre>"
    ));
}

#[test]
fn who_signed_and_who_has_to_is_told() {
    let text = read(&html(&view(&samples::signed()), &proof(""), None)).text;
    for said in [
        "Before the migration",
        "SHA256:abcdef",
        "by login alone",
        "On-call engineer",
        "the pager was silent",
        "Lessons",
        "settled by hand",
        "checked by hand",
        "until 2026-03-02",
        "1h",
        "ana (login ops)",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
}

/// Payloads beside those of the hostile sample, each in every place that it has.
const PAYLOADS: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</pre></details><iframe src=\"javascript:alert(1)\">",
    "<!--",
    "]]><x/>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "javascript:alert(1)",
    "[x](javascript:alert(1)) ![i](http://e/i.png) <http://e>",
    "a | b | c\n| --- | --- |\n# heading\n```",
    "`` ` ``` ",
    "=cmd|' /C calc'!A0",
    "\u{1b}]8;;http://e\u{7}x\u{1b}]8;;\u{7}\u{1b}]52;c;eA==\u{7}",
    "\u{9b}31m\u{85}\r\n\rover\u{202e}gnp.exe\u{2066}\u{feff}\u{0}\u{fffe}",
    "&lt;script&gt;&#x3c;b&#x3e;",
    "\u{fffd}\u{fffd} invalid bytes",
];

/// The hostile run with another payload.
fn with(payload: &str) -> RunView {
    let text = serde_json::to_string(&samples::hostile()).unwrap();
    let quoted = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let text = text.replace(&quoted(samples::HOSTILE), &quoted(payload));
    let events: Vec<Event> = serde_json::from_str(&text).unwrap();
    view(&events)
}

#[test]
fn hostile_texts_stay_texts_in_every_format() {
    let plain = read(&html(&with("plain"), &proof("plain"), Some("plain"))).tags;
    let spans = regex::Regex::new("`[^`\n]*`").unwrap();
    for payload in PAYLOADS.iter().chain([&samples::HOSTILE]) {
        let view = with(payload);
        let page = html(&view, &proof(payload), Some(payload));
        let found = read(&page);
        // code spans aside, a text makes no element that a plain one does not
        let more: Vec<_> = found.tags.difference(&plain).collect();
        assert!(
            more.is_empty() || *more == ["code"],
            "{payload:?} made {more:?}"
        );
        assert!(!page.to_lowercase().contains("<script"), "{payload:?}");

        let text = markdown(&view, &proof(payload));
        let (before, _) = text.split_once("### Runbook").unwrap();
        // what stands in a span of code is no markup; spans cannot be left open: see `escape`
        let before = spans.replace_all(before, "");
        assert!(!before.contains('`'), "{payload:?} left a span open");
        for bad in [
            "<script", "<img", "<a ", "](", "![", "\u{1b}", "\u{202e}", "\n# h", "<!--",
        ] {
            assert!(!before.contains(bad), "{payload:?} left {bad:?}");
        }
        let xml = junit(&view);
        for (at, _) in xml.match_indices('<') {
            let name = xml[at + 1..]
                .split([' ', '>', '/'])
                .find(|one| !one.is_empty())
                .unwrap();
            let ours = [
                "?xml",
                "testsuites",
                "testsuite",
                "properties",
                "property",
                "testcase",
                "failure",
                "skipped",
                "error",
            ];
            assert!(ours.contains(&name), "{payload:?} made <{name}");
        }
        assert!(
            !xml.chars()
                .any(|c| (c.is_control() && c != '\n') || c == '\u{fffe}')
        );
        // a program gets the text as it was
        let value = json(&view, &proof(payload));
        assert_eq!(value["run"]["title"], *payload);
        assert_eq!(value["notes"][0]["text"], *payload);
    }
}

/// A run of `steps` steps, each with that result.
fn long(steps: usize, report: &Report) -> Vec<Event> {
    let mut planned = samples::planned();
    planned.outline.phases.truncate(1);
    planned.outline.phases[0].steps = (0..steps)
        .map(|at| StepOutline {
            id: format!("s{at}"),
            title: None,
            action: "shell".into(),
            changes: false,
            undo: UndoKind::NotNeeded,
            estimate_s: Some(1.0),
            digest: String::new(),
        })
        .collect();
    let mut story = samples::Story::new()
        .tell(RunEvent::Planned(Box::new(planned)))
        .started();
    for at in 0..steps {
        let name = format!("s{at}");
        story = story.start(&name).after(1).done(&name, report.clone());
    }
    story
        .tell(RunEvent::Finished {
            status: RunStatus::Succeeded,
        })
        .events
}

#[test]
fn a_page_does_not_grow_with_what_steps_print() {
    let big = Report {
        did: "x".repeat(1 << 20),
        result: json!({ "stdout": "<b>\u{1b}\u{0}".repeat(200_000), "rows": vec!["y"; 100_000] }),
        outputs: [("all".to_owned(), json!("z".repeat(1 << 20)))].into(),
        evidence: vec![samples::evidence(
            "result.stdout != \"\"",
            crate::expr::Verdict::Pass,
            &[("result.stdout", "<b>")],
        )],
        output: Some(OutputKept {
            file: "steps/restart.1/out".into(),
            bytes: 50 << 20,
            kept: 2 << 20,
            sha256: "ab".into(),
        }),
        ..Report::default()
    };
    let view = view(&long(5, &big));
    let page = html(&view, &proof(&"q".repeat(1 << 20)), None);
    read(&page);
    assert!(page.len() < 400_000, "{} bytes", page.len());
    assert!(
        page.contains("2.0 MB of 50.0 MB kept"),
        "what was cut is said"
    );
    assert!(page.contains("of its output 2097152 of 52428800 bytes were kept"));
}

#[test]
fn a_long_run_is_a_table_and_what_failed_keeps_its_details() {
    let plain = Report {
        did: "true".into(),
        result: json!({"exit_code": 0}),
        ..Report::default()
    };
    let mut events = long(2_000, &plain);
    events.pop();
    let mut story = samples::Story::new();
    story.events = events;
    story = story.failed("s7", 1, samples::broken(), None);
    let page = html(&view(&story.events), &proof("the last words"), None);
    read(&page);
    let rows = page.matches("<td>shell</td>").count();
    assert_eq!(rows, 2_000);
    assert_eq!(
        page.matches("<div class=\"step\"").count(),
        1,
        "the failed one"
    );
    assert!(page.contains("the last words"));
    assert!(page.len() < 700_000, "{} bytes", page.len());
}

#[test]
fn the_reader_of_this_test_finds_what_does_not_belong() {
    let caught = |page: &str| {
        let page = format!("<!doctype html>\n{page}");
        std::panic::catch_unwind(|| read(&page)).is_err()
    };
    let mut bad = String::new();
    for page in [
        "<p><script>x</script></p>",
        "<p onclick=\"x\">a</p>",
        "<p>a > b</p>",
        "<p>&nbsp;</p>",
        "<p><b>x</p></b>",
        "<p>\u{1b}</p>",
        "<p class=\"a\" href=\"#\">x</p>",
    ] {
        if !caught(page) {
            let _ = writeln!(bad, "{page}");
        }
    }
    assert!(bad.is_empty(), "{bad}");
    assert!(!caught("<p class=\"a\">x &amp; y</p>"));
}
