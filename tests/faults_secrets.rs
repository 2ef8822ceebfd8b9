//! Secrets, cases K01, K02 and K04 of the fault matrix: canaries go through every kind of action,
//! those that fail too, and are then looked for in everything that a run leaves or shows while it
//! goes on. Chunk borders (K03) are in `src/secret/stream.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry::action::Registry;

use crate::support::ferry::{Ferry, Ran};
use crate::support::ports;
use crate::support::postgres::{ENCODED, PASSWORD, Postgres};
use crate::support::redis::Server;
use crate::support::wire::Wire;

/// What nothing else holds: from the environment, into a file, into a header, in an address, and a
/// key of many lines.
const WORD: &str = "kanarie$7Q&'vo\"gel";
const IN_FILE: &str = "geel/vogeltje+0=1";
const TOKEN: &str = "tok-3f9a1c77b2e84d";
const REDIS: &str = "rood/b@rst:je";
const REDIS_ENCODED: &str = "rood%2Fb%40rst%3Aje";
const KEY: &str = "-----BEGIN TEST KEY-----\nMIIEowIBAAKCAQEA7b1kq3zX\nq9Zt0vLrUeWc5yHs8dPj2mNf\n-----END TEST KEY-----\n";

fn canaries() -> Vec<&'static str> {
    let lines = KEY.lines().filter(|line| !line.starts_with('-'));
    let mut all = vec![
        WORD,
        IN_FILE,
        TOKEN,
        REDIS,
        REDIS_ENCODED,
        PASSWORD,
        ENCODED,
    ];
    all.extend(lines);
    all
}

/// A value as programs write it: the forms of the contract, made here a second time.
fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let mut all: BTreeSet<String> = BTreeSet::from([value.to_owned()]);
    let replaced = |table: &[(char, &str)]| -> String {
        value
            .chars()
            .map(|c| {
                table
                    .iter()
                    .find(|(from, _)| *from == c)
                    .map_or_else(|| c.to_string(), |(_, to)| (*to).to_owned())
            })
            .collect()
    };
    all.insert(
        serde_json::to_string(value)
            .unwrap()
            .trim_matches('"')
            .into(),
    );
    all.insert(replaced(&[('\'', "'\\''")]));
    all.insert(replaced(&[('\'', "''")]));
    all.insert(replaced(&[('$', "$$")]));
    all.insert(replaced(&[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
    ]));
    for (upper, space) in [(true, "%20"), (false, "%20"), (true, "+"), (false, "+")] {
        let mut text = String::new();
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    text.push(char::from(byte));
                }
                b' ' => text.push_str(space),
                _ if upper => write!(text, "%{byte:02X}").unwrap(),
                _ => write!(text, "%{byte:02x}").unwrap(),
            }
        }
        all.insert(text);
    }
    all.insert(value.bytes().map(|byte| format!("{byte:02x}")).collect());
    all.insert(value.bytes().map(|byte| format!("{byte:02X}")).collect());
    for before in ["", "u", "us"] {
        let bytes = [before.as_bytes(), value.as_bytes()].concat();
        // the characters that hold bits of the value alone
        let skip = (before.len() * 8).div_ceil(6);
        let whole = (bytes.len() * 8) / 6;
        for url in [false, true] {
            all.insert(base64(&bytes, url)[skip..whole].to_owned());
        }
    }
    all.into_iter().map(String::into_bytes).collect()
}

fn base64(bytes: &[u8], url: bool) -> String {
    let last = if url { b"-_" } else { b"+/" };
    let alphabet: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain(last.iter().copied())
        .collect();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=three.len() {
            text.push(char::from(
                alphabet[((bits >> (18 - 6 * at)) & 63) as usize],
            ));
        }
    }
    text
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Looks for any form of any canary in named texts.
struct Search {
    forms: regex::bytes::Regex,
    hits: Vec<String>,
    bytes: usize,
}

impl Search {
    fn new() -> Self {
        let forms: Vec<_> = canaries()
            .into_iter()
            .flat_map(forms)
            .map(|form| regex::escape(std::str::from_utf8(&form).unwrap()))
            .collect();
        Self {
            forms: regex::bytes::Regex::new(&forms.join("|")).unwrap(),
            hits: Vec::new(),
            bytes: 0,
        }
    }

    fn look(&mut self, what: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        for found in self.forms.find_iter(bytes) {
            let around = found.start().saturating_sub(60)..(found.end() + 20).min(bytes.len());
            self.hits.push(format!(
                "{what}: `{}` in `{}`",
                String::from_utf8_lossy(found.as_bytes()),
                String::from_utf8_lossy(&bytes[around])
            ));
        }
    }

    /// The state directory, the temporary directory, and what was printed.
    fn run(&mut self, ran: &Ran) {
        let mut all = Vec::new();
        files(&ran.path("state"), &mut all);
        files(&ran.path("tmp"), &mut all);
        assert!(
            all.iter()
                .any(|path| path.extension().is_some_and(|end| end == "db")),
            "the store is looked at: {all:?}"
        );
        for path in all {
            self.look(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
        self.look("stdout", ran.stdout.as_bytes());
        self.look("stderr", ran.stderr.as_bytes());
    }

    #[track_caller]
    fn must_be_clean(self) {
        assert!(self.hits.is_empty(), "{}", self.hits.join("\n"));
        assert!(self.bytes > 10_000, "hardly anything was looked at");
    }
}

/// Samples the command lines of all processes until it is let go of.
struct CommandLines(Arc<AtomicBool>, std::thread::JoinHandle<Vec<u8>>);

impl CommandLines {
    fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut all = BTreeSet::new();
            while !seen.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    if let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
                        all.insert(line);
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            all.into_iter().collect::<Vec<_>>().join(&b'\n')
        });
        Self(over, thread)
    }

    fn seen(self) -> Vec<u8> {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().unwrap()
    }
}

const RUNBOOK: &str = r#"
runbook: demo
inputs:
  word: { env: WORD, secret: true }
  in_file: { env: IN_FILE, secret: true }
  token: { env: TOKEN, secret: true }
  key: { env: KEY, secret: true }
  cache_url: { env: CACHE_URL, secret: true }
  db_url: { env: DB_URL }
targets:
  cache: { redis: "${{ inputs.cache_url }}", db: 1 }
  wrong: { redis: "redis://:WRONG-${{ inputs.word }}@127.0.0.1:REDIS_PORT" }
  watched: { redis: "redis+sentinel://127.0.0.1:REDIS_PORT/main", sentinel_password: "${{ inputs.word }}" }
  db: { postgres: "${{ inputs.db_url }}" }
  app: { http: "ECHO" }
  broken: { http: "BROKEN" }
  prom: { prometheus: "ECHO", headers: { authorization: "Bearer ${{ inputs.token }}" } }
snapshots:
  word: { shell: cat "$HOME/word" 2>/dev/null || true, read_only: true }
  keys: { redis.stats: {}, target: cache }
  vars: { env: [WORD, KEY, CACHE_URL] }
phases:
  p:
    steps:
      - id: shell
        shell: |
          set -x
          echo "$WORD"; printf '%s' "$WORD" | base64; printf 'us:%s' "$WORD" | base64 -w 0
          printf '%s' "$WORD" | od -An -tx1 | tr -d ' \n'
          printf '%s\n' "$KEY"; printf '%s' "$KEY" | while read -r line; do echo "> $line <"; done
          for n in 1 2 3 4 5; do printf '%.9s' "$WORD"; sleep 0.02; printf '%s\n' "${WORD#?????????}"; done
          printf '%s' "$WORD" > "$HOME/word"; printf '%s' "$FILE" > "$HOME/in-file"
          psql --version >/dev/null; echo "$CACHE $DB"
        env: { WORD: "${{ inputs.word }}", KEY: "${{ inputs.key }}", FILE: "${{ inputs.in_file }}", CACHE: "${{ inputs.cache_url }}", DB: "${{ inputs.db_url }}" }
        outputs: { all: result.stdout }
        undo: [{ shell: 'echo "undo $WORD"; cat "$HOME/word"', env: { WORD: "${{ inputs.word }}" } }]
      - { id: stdin, shell: { run: 'cat; cat >&2 <"$HOME/word"', stdin: "${{ inputs.key }}" }, undo: none }
      - { id: read-back, shell: 'cat "$HOME/word"; printf %s "$A"', env: { A: "${{ steps.shell.outputs.all }}" }, read_only: true }
      - { id: write, file.write: { path: app.env, text: "TOKEN=${{ inputs.in_file }}\n", mode: "0600" }, undo: none }
      - { id: replace, file.replace: { path: app.env, find: "${{ inputs.in_file }}", with: "${{ inputs.word }}" }, undo: none }
      - { id: stat, file.stat: app.env, expect: result.exists }
      - { id: copy, file.copy: { from: app.env, to: copy.env }, undo: none }
      - { id: keep, file.backup: { files: [plain.txt] } }
      - { id: bring-back, file.restore: { from: keep }, undo: none }
      - { id: log, log.scan: { file: app.log, since: start, deny: [token] }, tolerate: true }
      - { id: http, http: { post: /login, headers: { authorization: "Bearer ${{ inputs.token }}", cookie: "sid=${{ inputs.word }}", x-key: "${{ inputs.token }}" }, query: { q: "${{ inputs.word }}" }, json: { word: "${{ inputs.word }}", key: "${{ inputs.key }}" } }, target: app, outputs: { said: result.text }, undo: none }
      - { id: http-form, http: { post: /login, form: { word: "${{ inputs.word }}" }, status: [204] }, target: app, tolerate: true, undo: none }
      - { id: http-500, http: { post: "/pay?token=${{ inputs.token }}", body: "${{ inputs.key }}" }, target: broken, tolerate: true, undo: none }
      - { id: http-expect, http: { get: /x, query: { q: "${{ inputs.in_file }}" } }, target: app, expect: 'result.text == "no"', tolerate: true }
      - { id: sample, http.sample: { get: /x, requests: 3, headers: { x-key: "${{ inputs.token }}" }, query: { q: "${{ inputs.word }}" } }, target: app }
      - { id: sample-fails, http.sample: { get: "/x?token=${{ inputs.token }}", requests: 3 }, target: broken, expect: result.ok_rate == 1.0, tolerate: true }
      - { id: prom-fails, prometheus.query: { query: "up{a=$word}", args: { word: "${{ inputs.word }}" } }, target: prom, tolerate: true }
      - { id: rate, log.rate: { file: app.log, pattern: token }, tolerate: true }
      - { id: room, disk.free: . }
      - { id: at-work, process.cpu: { name: ferry, over: 100ms } }
      - { id: locks, sql.locks: {}, target: db }
      - { id: followers, sql.replication: {}, target: db }
      - { id: tell, notify: { webhook: "ECHO/hook/${{ inputs.token }}", text: "the word is ${{ inputs.word }}" } }
      - { id: tell-nobody, notify: { webhook: "http://127.0.0.1:CLOSED/hook/${{ inputs.token }}", text: "${{ inputs.word }}" }, tolerate: true }
      - { id: set, redis: { command: [SET, kept, "${{ inputs.word }}"] }, target: cache, undo: none }
      - { id: get, redis: GET kept, target: cache, outputs: { v: result.reply } }
      - { id: not-a-command, redis: { command: [NOSUCHCOMMAND, "${{ inputs.word }}"] }, target: cache, tolerate: true, undo: none }
      - { id: wrong-type, redis: { command: [LPUSH, kept, "${{ inputs.key }}"] }, target: cache, tolerate: true, undo: none }
      - { id: wrong-login, redis: PING, target: wrong, tolerate: true }
      - { id: forget, redis.delete: { keys: [kept], max_keys: 1 }, target: cache, undo: none }
      - { id: roundtrip, redis.roundtrip: { key: probe, value: "${{ inputs.word }}" }, target: cache }
      - { id: config, redis.config: { set: { requirepass: "${{ inputs.word }}" } }, target: cache, tolerate: true, undo: none }
      - { id: limit, redis.config: { set: { maxmemory: 100mb } }, target: cache, undo: none }
      - { id: config-get, redis.config_get: { names: ["require*", "maxmemory"] }, target: cache, tolerate: true }
      - { id: info, redis.info: {}, target: cache, tolerate: true }
      - { id: replication, redis.replication: {}, target: cache, tolerate: true }
      - { id: watchers, redis.sentinel: {}, target: watched, tolerate: true }
      - { id: slow-on, redis.config: { set: { slowlog-log-slower-than: "0" } }, target: cache, undo: none }
      - { id: slow-one, redis: { command: [SETEX, "key:1", "60", "${{ inputs.word }}"] }, target: cache, undo: none }
      - { id: slow-odd, redis: { command: ["${{ inputs.word }}", "${{ inputs.word }}"] }, target: cache, tolerate: true, undo: none }
      - { id: slowlog, redis.slowlog: {}, target: cache }
      - { id: keys, redis.keys: {}, target: cache }
      - { id: keys-wrong, redis.keys: {}, target: wrong, tolerate: true }
      - { id: latency, redis.latency: { n: 3 }, target: cache }
      - { id: clients, redis.clients: {}, target: cache }
      - { id: monitor, redis.monitor: { for: 100ms }, target: cache }
      - { id: monitor-wants, redis.monitor: { for: 100ms, want: "${{ inputs.word }}" }, target: cache, tolerate: true }
      - { id: pubsub, redis.pubsub: {}, target: cache }
      - { id: security, redis.security: {}, target: cache }
      - { id: security-wrong, redis.security: { commands: ["${{ inputs.word }}"] }, target: cache, tolerate: true }
      - { id: sql, sql: { query: "select $1::text as v", args: ["${{ inputs.word }}"] }, target: db, expect: "result.row_count == 1", outputs: { v: "result.rows[0].v" } }
      - { id: sql-fails, sql: { query: "select $1::int as v", args: ["${{ inputs.word }}"] }, target: db, tolerate: true }
      - { id: sql-raises, sql: { execute: "do $$ begin raise exception 'no: %', current_setting('app.word'); end $$" }, target: db, tolerate: true, undo: none }
      - { id: sql-do, sql: { execute: "create table if not exists t (v text)" }, target: db, undo: none }
      - { id: migrate, sql.migrate: { name: one, up: up.sql }, target: db, undo: none }
      - { id: counts, sql.counts: {}, target: db }
      - { id: schema, sql.schema: {}, target: db }
      - { id: dump, sql.backup: { to: db.dump }, target: db }
      - { id: load, sql.restore: { from: db.dump }, target: db, undo: none, tolerate: true }
      - { id: a-moment, wait: 1ms }
      - id: ends
        shell: 'echo "last: $WORD" >&2; exit 3'
        env: { WORD: "${{ inputs.word }}" }
        undo: none
rollback:
  verify: [{ id: same, snapshot_equals: { names: [word] } }]
  notify: [{ id: say, notify: { webhook: "ECHO/hook/${{ inputs.token }}", text: "failed: ${{ inputs.word }}" } }]
"#;

/// The actions that only move data which is no secret here; they are in `action_redis`. Those that wait
/// for people are in `gates`.
const LEFT_OUT: &[&str] = &[
    "redis.backup",
    "redis.restore",
    "redis.flush",
    "approve",
    "manual",
];

#[expect(
    clippy::too_many_lines,
    reason = "one run through every action, and one search"
)]
#[test]
fn five_canaries_through_every_action_are_nowhere_to_be_found() {
    let used = |key: &str| {
        RUNBOOK.contains(&format!(" {key}: ")) || RUNBOOK.contains(&format!("{{ {key}: "))
    };
    for spec in Registry::all().catalog().iter() {
        assert!(
            used(spec.key) || LEFT_OUT.contains(&spec.key),
            "no step uses `{}`: no canary goes through it",
            spec.key
        );
    }
    // whoever shows their answers shows its own secrets
    let (echo, broken) = (
        Wire::echo("200 OK"),
        Wire::echo("500 Internal Server Error"),
    );
    let postgres = Postgres::shared();
    let database = postgres.database();
    for json in [false, true] {
        // not by its arguments, which are looked at
        let server = Server::start(&[]);
        server.ask::<()>(0, &["CONFIG", "SET", "requirepass", REDIS]);
        let text = RUNBOOK
            .replace("ECHO", &echo.url)
            .replace("BROKEN", &broken.url)
            .replace("REDIS_PORT", &server.port.to_string())
            .replace("CLOSED", &ports::free().to_string());
        let mut ferry = Ferry::new()
            .file("plain.txt", "nothing to see\n")
            .file(
                "app.log",
                format!(
                    "2026-03-01 10:00:00 token {TOKEN}\n{} token\n",
                    TOKEN.repeat(40)
                ),
            )
            .file("up.sql", "create table if not exists m (v text);")
            .file("tmp/keep", "")
            .env("WORD", WORD)
            .env("IN_FILE", IN_FILE)
            .env("TOKEN", TOKEN)
            .env("KEY", KEY)
            .env(
                "CACHE_URL",
                &format!("redis://:{REDIS_ENCODED}@127.0.0.1:{}", server.port),
            )
            .env("DB_URL", &postgres.url(&database))
            .runbook(&text);
        let tmp = ferry.path("tmp");
        ferry = ferry.env("TMPDIR", tmp.to_str().unwrap());
        if json {
            ferry = ferry.args(["--json"]);
        }
        let lines = CommandLines::watch();
        let ran = ferry.run();
        let lines = lines.seen();
        assert!([11, 12].contains(&ran.code), "{}", ran.all());
        // it went through them: the steps had the values
        assert_eq!(ran.text("word"), WORD);
        assert!(ran.text("app.env").contains(WORD));
        let asked = echo.requests().join("\n");
        assert!(asked.contains(TOKEN), "{asked}");
        for step in [
            "http-500",
            "http-form",
            "not-a-command",
            "wrong-type",
            "wrong-login",
            "sql-fails",
            "http-expect",
            "tell-nobody",
        ] {
            let _ = ran.failed(step);
        }
        let _ = ran.failed("ends");
        assert!(ran.result("http").to_string().contains("***"));
        let mut search = Search::new();
        let control = [ran.text("word"), ran.text("app.env"), asked.clone()].concat();
        search.look("what must be found", control.as_bytes());
        assert!(
            search.hits.len() > 10,
            "the search finds: {:?}",
            search.hits
        );
        search.hits.clear();
        search.run(&ran);
        search.look("command lines", &lines);
        for format in ["html", "md", "json", "junit"] {
            let report = Ferry::again(&ran.dir)
                .command(&["report", "--format", format])
                .run()
                .success();
            search.look(&format!("report {format}"), report.stdout.as_bytes());
        }
        search.look(
            "status",
            Ferry::again(&ran.dir)
                .command(&["status"])
                .run()
                .stdout
                .as_bytes(),
        );
        search.look("journal", format!("{:?}", ran.journal).as_bytes());
        search.must_be_clean();
    }
}

/// K01: everybody can read the arguments of a program, so no secret gets there.
#[test]
fn a_secret_among_arguments_is_refused() {
    let ran = Ferry::new()
        .env("WORD", WORD)
        .runbook(
            "
            runbook: demo
            inputs: { word: { env: WORD, secret: true } }
            phases:
              p: { steps: [{ id: a, shell: { argv: [touch, '--password=${{ inputs.word }}'] }, undo: none }] }
            ",
        )
        .run()
        .code(65);
    let said = "error[F024]: the secret input `word` in the arguments of a program";
    assert!(ran.stderr.contains(said), "{}", ran.all());
    assert!(!ran.path("state").exists());
}

/// K02: what the documentation lists is what is masked, and what it lists as not covered is not.
#[test]
fn the_gaps_that_are_listed_are_the_gaps_that_there_are() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md")).unwrap();
    for gap in [
        "two-fold",
        "compressed",
        "one byte per line",
        "stdout and",
        "copies of files",
    ] {
        assert!(
            page.contains(gap),
            "docs/faults.md does not list the gap `{gap}`"
        );
    }
    let secret = ferry::secret::Secret::new(WORD.to_owned());
    let masker = ferry::secret::Masker::new([("word".to_owned(), secret)]).unwrap();
    for form in forms(WORD) {
        let text = format!("<{}>", String::from_utf8(form).unwrap());
        assert_eq!(masker.text(&text), "<***>", "{text}");
    }
    let twice = base64(base64(WORD.as_bytes(), false).as_bytes(), false);
    assert_eq!(masker.text(&twice), twice);
}

/// K04: a text that an action cut inside a secret shows nothing of it.
#[test]
fn an_output_that_is_cut_inside_a_secret_shows_none_of_it() {
    let secret = format!("{}END", "Zq7-".repeat(60));
    let begins = &secret[..8];
    let line = format!("token {}{secret}\n", "x".repeat(485));
    let ran = Ferry::new()
        .env("WORD", &secret)
        .file("app.log", line)
        .runbook(
            "
            runbook: demo
            inputs: { word: { env: WORD, secret: true } }
            phases:
              p:
                steps:
                  - id: kept
                    shell: 'for n in $(seq 300); do printf %s \"$W\"; done'
                    env: { W: '${{ inputs.word }}' }
                    undo: none
                  - { id: log, log.scan: { file: app.log, since: start, deny: [token] }, expect: result.clean, tolerate: true }
                  - id: number
                    shell: 'printf \"a%s\" \"$W\"'
                    env: { W: '${{ inputs.word }}' }
                    read_only: true
                    expect: duration(result.stdout) > duration(\"1s\")
                    tolerate: true
                  - id: version
                    shell: 'printf \"a%s\" \"$W\"'
                    env: { W: '${{ inputs.word }}' }
                    read_only: true
                    expect: semver(result.stdout) > semver(\"1.0.0\")
                    tolerate: true
            ",
        )
        .run()
        .success();
    let mut all = Vec::new();
    files(&ran.path("state"), &mut all);
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(8).any(|part| part == begins.as_bytes());
        assert!(!found, "the secret's beginning is in {}", path.display());
    }
    assert!(!ran.all().contains(begins), "{}", ran.all());
    assert!(
        ran.result("kept")["stdout"]
            .as_str()
            .unwrap()
            .contains("more bytes)")
    );
}

/// K04: an error of the driver, and a bad parameter, name no password, whatever form it has there.
#[test]
fn drivers_and_bad_parameters_tell_no_password() {
    let closed = ports::free();
    for (target, step) in [
        (
            format!("x: {{ postgres: \"postgres://u:{REDIS_ENCODED}@127.0.0.1:{closed}/d\" }}"),
            "sql: select 1 as a",
        ),
        (
            format!(
                "x: {{ postgres: \"postgres://u:{REDIS_ENCODED}@127.0.0.1:{closed}/d?sslmode={REDIS_ENCODED}\" }}"
            ),
            "sql: select 1 as a",
        ),
        (
            format!("x: {{ postgres: \"postgres://u:{REDIS_ENCODED}@127.0.0.1:no-port/d\" }}"),
            "sql: select 1 as a",
        ),
        (
            format!("x: {{ mysql: \"mysql://u:{REDIS_ENCODED}@127.0.0.1:{closed}/d\" }}"),
            "sql: select 1 as a",
        ),
        (
            format!("x: {{ redis: \"redis://:{REDIS_ENCODED}@127.0.0.1:{closed}/no-number\" }}"),
            "redis: PING",
        ),
        (
            format!("x: {{ redis: \"redis://:{REDIS}@127.0.0.1:{closed}\" }}"),
            "redis: PING",
        ),
        (
            format!("x: {{ http: \"http://u:{REDIS_ENCODED}@127.0.0.1:{closed}/\" }}"),
            "http: GET /",
        ),
    ] {
        for look in ["title: ahead", "when: run.name == \"demo\""] {
            let ran = Ferry::new()
                .runbook(&format!(
                    "
                    runbook: demo
                    targets: {{ {target} }}
                    phases: {{ p: {{ steps: [{{ id: a, {step}, target: x, {} }}] }} }}
                    ",
                    look.replace('"', "\\\"")
                        .replace("when: ", "when: \"")
                        .to_owned()
                        + if look.starts_with("when") { "\"" } else { "" }
                ))
                .run();
            assert!([11, 65, 69, 77].contains(&ran.code), "{}", ran.all());
            for form in [REDIS, REDIS_ENCODED] {
                assert!(!ran.all().contains(form), "{target}: {}", ran.all());
                assert!(!format!("{:?}", ran.journal).contains(form), "{target}");
            }
        }
    }
}
