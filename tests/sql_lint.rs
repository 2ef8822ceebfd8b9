//! `sql_lint`: the SQL that a step prints is judged before anybody runs it.

use crate::support::ferry::Ferry;

/// A run of one step that prints the file `sql`, with a lint for PostgreSQL.
fn linted(sql: &str) -> Ferry {
    let deny = "[drop, truncate, delete_without_where, rewrite_table]";
    Ferry::new().file("sql", sql).steps(&format!(
        "
        - id: review
          shell: cat sql
          read_only: true
          sql_lint: {{ dialect: postgres, deny: {deny} }}
          expect: result.exit_code == 0
        "
    ))
}

#[test]
fn a_clean_script_passes_and_a_dangerous_one_does_not() {
    let clean =
        "BEGIN;\nALTER TABLE \"t\" ADD COLUMN \"c\" boolean DEFAULT true NOT NULL;\nCOMMIT;\n";
    let ran = linted(clean).run().success();
    assert_eq!(ran.report("review").evidence.len(), 2);
    let ran = linted("ALTER TABLE t ADD COLUMN c int;\nDROP TABLE u;\n").run();
    assert_ne!(ran.code, 0);
    let failure = ran.failure();
    assert!(failure.contains("line 2: drop table"), "{failure}");
}

#[test]
fn what_is_no_sql_or_not_all_of_it_is_never_clean() {
    for (sql, why) in [
        ("", "there is no statement in it"),
        (
            "CommandError: no such app\n",
            "line 1 does not begin a statement of SQL",
        ),
        (
            "select 1;\nselect 'open\n",
            "a text begins on line 2 and never ends",
        ),
    ] {
        let ran = linted(sql).run();
        assert_ne!(ran.code, 0, "{sql}");
        assert!(ran.failure().contains(why), "{sql}: {}", ran.failure());
    }
    // more than is kept of it
    let long = "select 1;\n".repeat(8_000);
    let ran = linted(&long).run();
    assert_ne!(ran.code, 0);
    assert!(ran.failure().contains("64 kB"), "{}", ran.failure());
}

#[test]
fn mistakes_in_it_are_told_before_the_run() {
    for (lint, told) in [
        (
            "{ dialect: oracle, deny: [drop] }",
            "`oracle` is no dialect",
        ),
        (
            "{ dialect: postgres, deny: [dropp] }",
            "did you mean `drop`?",
        ),
        ("{ dialect: postgres, deny: [] }", "`deny` is empty"),
        ("{ dialect: postgres }", "`deny`"),
        ("[drop]", "`sql_lint` must be a mapping"),
    ] {
        let ran = Ferry::new()
            .steps(&format!(
                "- {{ shell: cat sql, read_only: true, sql_lint: {lint} }}"
            ))
            .run()
            .code(65);
        assert!(ran.all().contains(told), "{lint}: {}", ran.all());
    }
    let ran = Ferry::new()
        .steps("- { file.stat: sql, sql_lint: { dialect: postgres, deny: [drop] } }")
        .run()
        .code(65);
    assert!(
        ran.all()
            .contains("`sql_lint` on `file.stat`, which prints nothing"),
        "{}",
        ran.all()
    );
}
