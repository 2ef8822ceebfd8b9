//! The report as a reader gets it: opened in a real browser and printed, with hostile texts in it
//! (cases D01 to D03 of the fault table).

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::chromium;
use crate::support::ferry::{Ferry, Ran};

/// The report of a run's directory in that format, as a file.
fn report(ran: &Ran, format: &str, name: &str) -> std::path::PathBuf {
    Ferry::again(&ran.dir)
        .command(&["report", "--format", format, "--output", name])
        .run()
        .success();
    ran.path(name)
}

const GOES_BACK: &str = r#"
    runbook: demo
    title: A demo that goes back
    window: { total: 1h, rollback: 15m }
    snapshots:
      there: { file.stat: there }
    phases:
      prepare:
        estimate: 1m
        steps:
          - id: greet
            shell: echo hello
            read_only: true
            expect: result.stdout == "hello"
          - id: make
            shell: touch there
            undo: [{ shell: rm -f there }]
      verify:
        needs: [prepare]
        steps:
          - id: judge
            shell: echo 3
            read_only: true
            expect: int(result.stdout) > 9
    rollback:
      verify:
        - { id: gone, shell: test ! -e there, read_only: true, expect: result.exit_code == 0 }
"#;

#[test]
fn a_run_leaves_a_page_that_a_browser_shows_and_prints() {
    let ran = Ferry::new().runbook(GOES_BACK).run().code(11);
    let page = ran.run_dir().join("report.html");
    let opened = chromium::open(&page);
    assert!(opened.console.is_empty(), "{:?}", opened.console);
    let mut rest = opened.dom.as_str();
    for part in [
        "default-src 'none'",
        "<h1>A demo that goes back</h1>",
        "Rolled back",
        "Waivers and reservations",
        "Summary",
        "not measured",
        "<svg",
        "What failed",
        "int(result.stdout)",
        "Snapshots",
        "In this order",
        "How it was proven",
        "Sign-off",
        "the hash chain holds",
        "</html>",
    ] {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("no {part} in what is left"));
        rest = &rest[at..];
    }
    let pages = chromium::printed_pages(&page);
    assert!((3..=8).contains(&pages), "{pages} pages");
    // from the journal alone, so it is the same again
    let again = std::fs::read_to_string(report(&ran, "html", "again.html")).unwrap();
    assert_eq!(again, std::fs::read_to_string(&page).unwrap());
}

#[test]
fn texts_of_a_hostile_world_are_shown_and_fetch_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let home = format!("http://{}", listener.local_addr().unwrap());
    let payload = format!(
        "<script src={home}/s></script><script>document.title='taken'</script>\
         <img src={home}/i onerror=alert(1)><iframe src={home}/f></iframe>\
         </pre></style><style>@import '{home}/c';</style><link rel=stylesheet href={home}/l>\
         ![i]({home}/m) [x](javascript:alert(1)) | a | `b` =1+1"
    );
    let bytes = format!(
        "{payload}\n\x1b]0;title\x07\x1b]8;;{home}\x07link\x1b]52;c;eA==\x07\u{9b}31m\rover\u{202e}gnp.exe"
    );
    let ran = Ferry::new()
        .file("payload", bytes)
        .file("quoted", serde_json::to_string(&payload).unwrap())
        .runbook(&format!(
            r#"
            runbook: hostile
            title: {title}
            phases:
              p:
                title: {title}
                steps:
                  - id: says
                    title: {title}
                    shell: cat payload; printf '\377\376\200'; cat payload >&2
                    read_only: true
                    expect: result.stdout.contains("script")
                  - id: floods
                    shell: head -c 52428800 /dev/zero | tr '\0' '<'
                    read_only: true
                  - id: fails
                    shell: cat payload >&2; exit 3
                    read_only: true
            "#,
            title = serde_json::to_string(&payload).unwrap(),
        ))
        .run();
    assert!(
        !ran.all().contains('\x1b'),
        "no escape reaches the terminal or a log"
    );

    let page = ran.run_dir().join("report.html");
    let size = std::fs::metadata(&page).unwrap().len();
    assert!(size < 1 << 20, "{size} bytes of 50 MiB and more of output");
    let began = Instant::now();
    let opened = chromium::open(&page);
    assert!(began.elapsed() < Duration::from_secs(30), "it opens fast");
    assert!(opened.console.is_empty(), "{:?}", opened.console);
    for bad in ["<script", "<img", "<iframe", "<link", "<a ", "<title>taken"] {
        assert!(!opened.dom.contains(bad), "{bad}");
    }
    for shown in ["&lt;script", "\\x1b]52;c", "\\u{202e}gnp", "50.0 MB"] {
        assert!(opened.dom.contains(shown), "{shown}");
    }
    chromium::printed_pages(&page);

    // a browser is strict about XML
    let opened = chromium::open(&report(&ran, "junit", "ferry.xml"));
    assert!(opened.dom.contains("<testsuites"), "{}", opened.dom);
    assert!(!opened.dom.contains("parsererror"), "{}", opened.dom);
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "nothing was fetched"
    );
}

#[test]
fn the_browser_would_tell() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = format!("http://{}", listener.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let text = format!("<script>console.log('seen')</script><img src={home}/i>");
    std::fs::write(&page, text).unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(stream);
    });
    let opened = chromium::open(&page);
    assert!(server.is_finished(), "a page that fetches is seen");
    assert!(
        opened.console.iter().any(|line| line.contains("seen")),
        "{:?}",
        opened.console
    );
    let broken = dir.path().join("broken.xml");
    std::fs::write(&broken, "<a><b></a>").unwrap();
    assert!(chromium::open(&broken).dom.contains("parsererror"));
}
