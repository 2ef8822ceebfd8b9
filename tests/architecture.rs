//! The rules of the house, held against every file in `src/`: who may import whom, that the core
//! does no IO, that files stay short and say what they are for.
//!
//! It reads the lines before the first `#[cfg(test)]` of a file, and sees `crate::...` paths only:
//! tests stand last, and nothing reaches a module by another name (`super::super::super`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Module and what it may import.
type Table = &'static [(&'static str, &'static [&'static str])];

const CORE: &[&str] = &["event", "expr", "graph", "plan", "run", "runbook", "view"];

const ALL: &[&str] = &[
    "action",
    "cli",
    "comms",
    "engine",
    "event",
    "expr",
    "failpoint",
    "front",
    "graph",
    "plan",
    "run",
    "runbook",
    "secret",
    "sign",
    "store",
    "view",
];

/// The arrows of the design, as the code has them. `event` carries evidence, which is of `expr`;
/// `runbook` holds compiled expressions and failure causes, and its checks ask the graph.
const MAY: Table = &[
    ("expr", &[]),
    ("graph", &[]),
    ("secret", &[]),
    ("event", &["expr"]),
    ("sign", &["event"]),
    ("runbook", &["event", "expr", "graph"]),
    ("plan", &["event", "expr", "graph", "runbook"]),
    ("view", &["event", "expr", "graph", "runbook"]),
    ("run", &["event", "expr", "plan", "runbook"]),
    ("action", &["event", "expr", "runbook", "secret"]),
    (
        "comms",
        &["action", "event", "expr", "runbook", "secret", "view"],
    ),
    ("failpoint", &["event"]),
    ("store", &["event", "failpoint"]),
    (
        "engine",
        &[
            "action",
            "event",
            "expr",
            "failpoint",
            "plan",
            "run",
            "runbook",
            "secret",
            "sign",
            "store",
        ],
    ),
    (
        "front",
        &["event", "expr", "graph", "plan", "runbook", "view"],
    ),
    ("cli", ALL),
];

/// What no core module names: files, network, processes, clocks, the environment, printing, tasks.
const IO: &[&str] = &[
    r"\bstd::(fs|net|env|process|thread|os)\b",
    r"\bstd::io\b",
    r"\b(tokio|nix|sqlx|reqwest|redis|futures_util|async_trait)::",
    r"\b(SystemTime|Instant)::now\b",
    r"\b(Zoned|Timestamp)::now\b",
    r"\b(print|println|eprint|eprintln|dbg)!",
    r"\basync (fn|move|\{)",
    r"\.await\b",
    r"\benv::var",
];

/// `std::io` is also the word for errors, and for writing into memory.
const IO_ALLOWED: &[(&str, &str)] = &[
    ("event/subscriber.rs", r"\bstd::io\b"),
    ("expr/value.rs", r"\bstd::io\b"),
];

/// The most lines before the tests.
const LONGEST: usize = 400;

/// Files that are over it and are being split elsewhere: each must still be, or leave this list.
const STILL_LONG: &[&str] = &[];

/// One source file.
struct Source {
    /// Relative to `src/`, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// `action` of `action/file/stat.rs`, `graph` of `graph.rs`.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Files that only tests are built from.
    fn is_test(&self) -> bool {
        ["/tests.rs", "_tests.rs", "/golden.rs", "/samples.rs"]
            .iter()
            .any(|end| self.path.ends_with(end))
            || ["/samples/", "/golden/"]
                .iter()
                .any(|part| self.path.contains(part))
    }

    /// The lines before the tests, with their numbers, comments left out of `code`.
    fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
        lines.enumerate().map(|(at, line)| (at + 1, line))
    }

    /// What the compiler sees of them, without strings that hold no format of their own.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.production()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| {
                let code = line.split(" // ").next().unwrap_or(line);
                (at, code)
            })
    }
}

/// All modules that a line names by `crate::`, groups included: `use crate::{a, b::c}`.
fn imports(code: &str) -> Vec<String> {
    let one = Regex::new(r"\bcrate::(\w+)").unwrap();
    let group = Regex::new(r"\bcrate::\{([^}]*)\}").unwrap();
    let mut found: Vec<String> = one
        .captures_iter(code)
        .map(|captures| captures[1].to_owned())
        .collect();
    for captures in group.captures_iter(code) {
        let names = captures[1].split(',').map(|name| {
            name.trim()
                .split("::")
                .next()
                .unwrap_or_default()
                .to_owned()
        });
        found.extend(names.filter(|name| !name.is_empty()));
    }
    found.retain(|name| ALL.contains(&name.as_str()));
    found
}

/// Everything that breaks a rule, a line each.
fn violations(sources: &[Source], still_long: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources
        .iter()
        .filter(|source| !["main.rs", "lib.rs"].contains(&source.path.as_str()))
    {
        let module = source.module();
        let Some((_, may)) = MAY.iter().find(|(name, _)| *name == module) else {
            found.push(format!("{}: `{module}` is not in the table", source.path));
            continue;
        };
        if !source.text.starts_with("//! ") {
            found.push(format!("{}: does not open with `//!`", source.path));
        }
        if source.is_test() {
            continue;
        }
        let whole: String = source
            .code()
            .map(|(_, line)| line)
            .collect::<Vec<_>>()
            .join("\n");
        for name in imports(&whole) {
            if name != module && !may.contains(&name.as_str()) {
                found.push(format!(
                    "{}: `{module}` may not import `{name}`",
                    source.path
                ));
            }
        }
        if whole.contains("super::super::super::super::") {
            found.push(format!(
                "{}: reaches out of its module by `super`",
                source.path
            ));
        }
        found.extend(io(source, module));
        length(source, still_long, &mut found);
    }
    found.dedup();
    found
}

fn io(source: &Source, module: &str) -> Vec<String> {
    if !CORE.contains(&module) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for pattern in IO {
        if IO_ALLOWED
            .iter()
            .any(|(path, allowed)| *path == source.path && allowed == pattern)
        {
            continue;
        }
        let regex = Regex::new(pattern).unwrap();
        for (at, line) in source.code() {
            if let Some(what) = regex.find(line) {
                found.push(format!(
                    "{}:{at}: `{}` in the core",
                    source.path,
                    what.as_str()
                ));
            }
        }
    }
    found
}

fn length(source: &Source, still_long: &[&str], found: &mut Vec<String>) {
    let lines = source.production().count();
    match (lines > LONGEST, still_long.contains(&source.path.as_str())) {
        (true, false) => found.push(format!(
            "{}: {lines} lines, more than {LONGEST}",
            source.path
        )),
        (false, true) => found.push(format!(
            "{}: no longer too long: take it off the list",
            source.path
        )),
        _ => {}
    }
}

fn sources() -> Vec<Source> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<Source>) {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(Source {
                    path: path
                        .strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    text: std::fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found
}

#[test]
fn the_house_stands_as_designed() {
    let sources = sources();
    assert!(sources.len() > 80, "all files are read");
    let found = violations(&sources, STILL_LONG);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_table_names_every_module_once_and_has_no_cycle() {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    for (module, may) in MAY {
        if *module == "cli" {
            continue;
        }
        // below each module stand only modules that came before it
        let below = may.iter().map(|name| {
            depth
                .get(name)
                .unwrap_or_else(|| panic!("`{module}` points up to `{name}`"))
        });
        let own = below.max().map_or(0, |below| below + 1);
        assert!(
            depth.insert(module, own).is_none(),
            "`{module}` stands twice"
        );
    }
    assert_eq!(depth.len() + 1, ALL.len());
    let lib =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared: Vec<_> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(declared, ALL);
}

/// The violations of one file.
fn seeded(path: &str, text: &str) -> Vec<String> {
    let source = Source {
        path: path.into(),
        text: text.into(),
    };
    violations(&[source], &[])
}

/// The violations of a file with this line after a good beginning.
fn found(path: &str, line: &str) -> Vec<String> {
    seeded(path, &format!("//! Words.\n{line}\n"))
}

#[test]
fn seeded_violations_are_found() {
    let fine = "//! Words.\n";
    assert_eq!(
        found("run/x.rs", "use crate::store::Store;"),
        ["run/x.rs: `run` may not import `store`"]
    );
    assert_eq!(
        found("front/x.rs", "use crate::{event::Event, engine};"),
        ["front/x.rs: `front` may not import `engine`"]
    );
    assert_eq!(
        found("event/x.rs", "use crate::{\n    expr,\n    view,\n};"),
        ["event/x.rs: `event` may not import `view`"]
    );
    assert_eq!(
        found("store/x.rs", "fn f(a: crate::run::RunState) {}"),
        ["store/x.rs: `store` may not import `run`"]
    );
    assert_eq!(
        found("news/x.rs", ""),
        ["news/x.rs: `news` is not in the table"]
    );
    assert_eq!(
        found("plan/x.rs", "use std::fs;"),
        ["plan/x.rs:2: `std::fs` in the core"]
    );
    assert_eq!(
        found("view/x.rs", "let now = Instant::now();"),
        ["view/x.rs:2: `Instant::now` in the core"]
    );
    assert_eq!(
        found("graph.rs", "println!(\"x\");"),
        ["graph.rs:2: `println!` in the core"]
    );
    assert_eq!(
        found("expr/x.rs", "async fn f() {}"),
        ["expr/x.rs:2: `async fn` in the core"]
    );
    assert_eq!(
        found("runbook/x.rs", "use tokio::sync;"),
        ["runbook/x.rs:2: `tokio::` in the core"]
    );
    assert_eq!(
        seeded("run/x.rs", "use std::sync::Arc;\n"),
        ["run/x.rs: does not open with `//!`"]
    );
    let long = format!("{fine}{}", "fn f() {}\n".repeat(LONGEST));
    assert_eq!(
        seeded("cli/x.rs", &long),
        ["cli/x.rs: 401 lines, more than 400"]
    );
    assert_eq!(
        violations(
            &[Source {
                path: "cli/x.rs".into(),
                text: fine.into()
            }],
            &["cli/x.rs"]
        )
        .len(),
        1
    );
}

#[test]
fn what_is_allowed_is_not_found() {
    for (path, line) in [
        ("engine/x.rs", "use std::fs; use crate::store::Store;"),
        (
            "run/x.rs",
            "use crate::event::Event; // use crate::store::Store",
        ),
        ("run/x.rs", "// std::fs is for others"),
        (
            "run/x.rs",
            "#[cfg(test)]\nmod tests { use crate::store::Store; use std::fs; }",
        ),
        ("run/tests.rs", "use crate::store::Store;"),
    ] {
        assert_eq!(found(path, line), Vec::<String>::new(), "{path}: {line}");
    }
}
