//! `docs/faults.md` is kept honest: every test that it names exists, every case of the fault matrix
//! is either in a table or listed as not covered, and none is both.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

const PAGE: &str = include_str!("../docs/faults.md");

/// The families of cases and how many each has.
const FAMILIES: [(char, u32); 11] = [
    ('E', 11),
    ('S', 11),
    ('P', 8),
    ('R', 8),
    ('G', 6),
    ('H', 7),
    ('Y', 7),
    ('O', 8),
    ('W', 6),
    ('K', 5),
    ('D', 3),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Tests that the page names: file below the root, and function.
fn named(page: &str) -> Vec<(String, String)> {
    let name = Regex::new(r"`([\w/]+(?:\.rs)?)::(\w+)`").unwrap();
    name.captures_iter(page)
        .map(|found| {
            let file = match found[1].starts_with("src/") {
                true => found[1].to_owned(),
                false => format!("tests/{}.rs", &found[1]),
            };
            (file, found[2].to_owned())
        })
        .collect()
}

/// Whether a file has a function of that name that is run as a test.
fn is_test(text: &str, function: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let opens = [format!("fn {function}("), format!("async fn {function}(")];
    lines.iter().enumerate().any(|(at, line)| {
        opens.iter().any(|open| line.starts_with(open.as_str()))
            && lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#[") || line.starts_with("///"))
                .any(|line| line.contains("test]"))
    })
}

/// The cases of a range such as `E01 to E11`, or of a single one.
fn cases(text: &str) -> BTreeSet<String> {
    let one = Regex::new(r"([A-Z])(\d\d)(?:\s+to\s+[A-Z](\d\d))?").unwrap();
    let mut all = BTreeSet::new();
    for found in one.captures_iter(text) {
        let from: u32 = found[2].parse().unwrap();
        let to = found.get(3).map_or(from, |to| to.as_str().parse().unwrap());
        all.extend((from..=to).map(|n| format!("{}{n:02}", &found[1])));
    }
    all
}

#[test]
fn every_test_that_the_page_names_exists() {
    let named = named(PAGE);
    assert!(named.len() > 60, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|(file, function)| {
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            !is_test(&text, function)
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_row_of_a_table_names_a_test() {
    let rows = PAGE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| --- "))
        .filter(|line| !line.starts_with("| case |") && !line.starts_with("| what | limit"));
    for row in rows {
        assert!(row.contains("::"), "no test in: {row}");
    }
}

#[test]
fn every_case_is_covered_or_said_not_to_be() {
    let (tables, open) = PAGE.split_once("## Not in this table yet").unwrap();
    let row = Regex::new(r"(?m)^\| ([A-Z]\d\d) \|").unwrap();
    let covered: BTreeSet<_> = row
        .captures_iter(tables)
        .map(|found| found[1].to_owned())
        .collect();
    let (_, list) = open.split_once("have no row:").unwrap();
    let open = cases(list);
    let all: BTreeSet<_> = FAMILIES
        .iter()
        .flat_map(|(family, count)| (1..=*count).map(move |n| format!("{family}{n:02}")))
        .collect();
    assert_eq!(all.len(), 80);
    let both: Vec<_> = covered.intersection(&open).collect();
    assert!(both.is_empty(), "covered and open: {both:?}");
    let known: BTreeSet<_> = covered.union(&open).cloned().collect();
    assert_eq!(known, all);
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let text =
        "/// Words.\n#[tokio::test]\nasync fn is_one() {}\nfn is_none() {}\n#[test]\nfn plain() {}";
    assert!(is_test(text, "is_one") && is_test(text, "plain"));
    assert!(!is_test(text, "is_none") && !is_test(text, "plai"));
    assert_eq!(
        cases("E01 to E03, R05"),
        ["E01", "E02", "E03", "R05"].map(str::to_owned).into()
    );
}
