//! The README's table of exit codes is the one of the code.

use std::collections::BTreeSet;
use std::path::Path;

use ferry::cli::exit::Exit;

/// The rows of the first table after a heading, without its head: cells without their marks.
fn table(text: &str, heading: &str) -> Vec<(String, String)> {
    let section = text
        .split(&format!("\n{heading}\n"))
        .nth(1)
        .unwrap_or_default();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let mut cells = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned());
        Some((cells.next()?, cells.next()?))
    };
    rows.skip(2).filter_map(cells).collect()
}

#[test]
fn the_readme_has_the_exit_codes_of_the_code() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let expected: Vec<_> = Exit::ALL
        .iter()
        .map(|exit| (exit.code().to_string(), exit.meaning().to_owned()))
        .collect();
    assert_eq!(table(&text, "## Exit codes"), expected);
}

#[test]
fn codes_are_distinct_ordered_and_none_that_means_something_else() {
    let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    let distinct: BTreeSet<u8> = codes.iter().copied().collect();
    assert_eq!(codes, distinct.into_iter().collect::<Vec<_>>());
    // a shell's, clap's and a panic's own
    assert!(
        [1, 2, 101, 126, 127]
            .iter()
            .all(|code| !codes.contains(code))
    );
}

#[test]
fn a_table_is_read_as_it_stands() {
    let text = "# x\n\n## Exit codes\n\nwords\n\n| code | meaning |\n| --- | --- |\n| `0` | fine |\n| 10 | not |\n\n| 99 | another |\n";
    let found = table(text, "## Exit codes");
    assert_eq!(
        found,
        [
            ("0".to_owned(), "fine".to_owned()),
            ("10".to_owned(), "not".to_owned())
        ]
    );
}
