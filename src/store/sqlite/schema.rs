//! Tables and statements of the SQLite store. Text only; nothing here runs.
//!
//! A commit is one `INSERT` into the view `batch`; its trigger spreads it over the tables. One
//! statement is atomic by itself: when it fails or its caller goes away, no transaction is left
//! open on the connection, and it takes one round trip to the connection's thread.

/// `application_id` of our files: "fery".
pub(super) const APPLICATION: i64 = 0x6665_7279;

/// `user_version` of our files.
pub(super) const VERSION: i64 = 1;

/// Creates what is missing; harmless when another process was faster.
pub(super) const CREATE: &str = "
BEGIN IMMEDIATE;

-- one row per run: a summary, and the lease (held while pid is not null).
-- head: length of the journal when status last changed or the lease was given up.
-- mail: inbox items that ever came.
CREATE TABLE IF NOT EXISTS run (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  created INTEGER NOT NULL,
  status TEXT NOT NULL,
  locks TEXT NOT NULL,
  head INTEGER NOT NULL DEFAULT 0,
  mail INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0,
  who TEXT, host TEXT, pid INTEGER, started INTEGER
) STRICT;

-- the journal: rows are added, never changed
CREATE TABLE IF NOT EXISTS event (
  run TEXT NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT, -- null: in the table body
  hash BLOB NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- bodies that would spill out of the journal's pages: a row of the tree that spills is read whole
-- whenever a search passes it, and the first event of a run, which holds the runbook, always is
CREATE TABLE IF NOT EXISTS body (
  run TEXT NOT NULL,
  seq INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT;

-- effects that were handed out and are not over
CREATE TABLE IF NOT EXISTS effect (
  run TEXT NOT NULL,
  key TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

-- messages that were not consumed; ids are never used again
CREATE TABLE IF NOT EXISTS inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL REFERENCES run (id),
  at INTEGER NOT NULL,
  sender TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TRIGGER IF NOT EXISTS inbox_counts AFTER INSERT ON inbox BEGIN
  UPDATE run SET mail = mail + 1 WHERE id = NEW.run;
END;

CREATE VIEW IF NOT EXISTS batch AS SELECT
  NULL AS run, NULL AS epoch, NULL AS seq, NULL AS at, NULL AS kind, NULL AS body, NULL AS hash,
  NULL AS settled, NULL AS dispatched, NULL AS consumed, NULL AS status, NULL AS head;

CREATE TRIGGER IF NOT EXISTS batch_event INSTEAD OF INSERT ON batch BEGIN
  SELECT RAISE(ABORT, 'fenced') WHERE NOT EXISTS (
    SELECT 1 FROM run WHERE id = NEW.run AND epoch = NEW.epoch AND pid IS NOT NULL);
  INSERT INTO event SELECT NEW.run, NEW.seq, NEW.at, NEW.kind,
    iif(length(NEW.body) > 800, NULL, NEW.body), NEW.hash
    WHERE NEW.seq IS NOT NULL;
  INSERT INTO body SELECT NEW.run, NEW.seq, NEW.body WHERE length(NEW.body) > 800;
END;

CREATE TRIGGER IF NOT EXISTS batch_effect INSTEAD OF INSERT ON batch
WHEN NEW.settled IS NOT NULL OR NEW.dispatched IS NOT NULL BEGIN
  DELETE FROM effect WHERE run = NEW.run AND key IN (SELECT value FROM json_each(NEW.settled));
  INSERT INTO effect SELECT NEW.run, value ->> 0, value ->> 1 FROM json_each(NEW.dispatched)
    WHERE true ON CONFLICT (run, key) DO UPDATE SET seq = excluded.seq;
END;

CREATE TRIGGER IF NOT EXISTS batch_inbox INSTEAD OF INSERT ON batch
WHEN NEW.consumed IS NOT NULL BEGIN
  DELETE FROM inbox WHERE run = NEW.run AND id IN (SELECT value FROM json_each(NEW.consumed));
  SELECT RAISE(ABORT, 'consumed') WHERE changes() <> json_array_length(NEW.consumed);
END;

CREATE TRIGGER IF NOT EXISTS batch_status INSTEAD OF INSERT ON batch
WHEN NEW.status IS NOT NULL BEGIN
  UPDATE run SET status = NEW.status, head = NEW.head WHERE id = NEW.run;
END;

PRAGMA application_id = 0x66657279;
PRAGMA user_version = 1;
COMMIT";

/// What the connection really has; read back after opening.
pub(super) const READ_BACK: &str = "
SELECT sqlite_version() AS version, application_id, user_version, synchronous, journal_mode,
  foreign_keys, trusted_schema, (SELECT count(*) FROM sqlite_schema) AS objects
FROM pragma_application_id, pragma_user_version, pragma_synchronous, pragma_journal_mode,
  pragma_foreign_keys, pragma_trusted_schema";

/// A batch with one event or none.
pub(super) const COMMIT_ONE: &str =
    "INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// A batch with two events, as the end of one step and the intent of the next are.
pub(super) const COMMIT_TWO: &str =
    "INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12),
     (?1, ?2, ?13, ?14, ?15, ?16, ?17, NULL, NULL, NULL, NULL, ?12)";

/// A batch with several events, in `?3` as `[[seq, at, kind, body, hash in hexadecimal], ...]`.
pub(super) const COMMIT_MANY: &str = "
INSERT INTO batch SELECT ?1, ?2,
  value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4),
  iif(key = 0, ?4, NULL), iif(key = 0, ?5, NULL), iif(key = 0, ?6, NULL), iif(key = 0, ?7, NULL), ?8
FROM json_each(?3)";

/// The last event of a run.
pub(super) const HEAD: &str =
    "SELECT seq, hash FROM event WHERE run = ?1 ORDER BY seq DESC LIMIT 1";

/// A new run.
pub(super) const NEW_RUN: &str =
    "INSERT INTO run (id, name, created, status, locks) VALUES (?1, ?2, ?3, ?4, ?5)";

/// `ok`, or the first thing that is wrong with the database's pages.
pub(super) const QUICK_CHECK: &str = "PRAGMA quick_check(1)";

/// The hash of an event.
pub(super) const HASH: &str = "SELECT hash FROM event WHERE run = ?1 AND seq = ?2";

/// Where a run stands, and who holds it, from its own row alone.
pub(super) const STANDING: &str = "SELECT status, who, host, pid, started FROM run WHERE id = ?1";

/// Ids of the runs, newest first, from the table of runs alone.
pub(super) const NAMES: &str = "SELECT id FROM run ORDER BY created DESC, rowid DESC";

/// The run, and the held runs that share a lock with it (`lock` is null for the run itself); `?2`:
/// the locks of a run to be.
pub(super) const RIVALS: &str = "
SELECT r.id, r.epoch, r.locks, r.who, r.host, r.pid, r.started, NULL AS lock
FROM run r WHERE r.id = ?1
UNION ALL
SELECT r.id, r.epoch, r.locks, r.who, r.host, r.pid, r.started, min(theirs.value) AS lock
FROM json_each(coalesce(?2, (SELECT locks FROM run WHERE id = ?1), '[]')) mine,
  run r, json_each(r.locks) theirs
WHERE r.id <> ?1 AND r.pid IS NOT NULL AND theirs.value = mine.value
GROUP BY r.id";

/// Creates a run that is held, at epoch 1, if no rival holds one of its locks: `?10` as `?7` of
/// [`GRANT`].
pub(super) const BEGIN: &str = "
INSERT INTO run (id, name, created, status, locks, epoch, who, host, pid, started)
SELECT ?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9 WHERE NOT EXISTS (
  SELECT 1 FROM json_each(?5) mine, run r, json_each(r.locks) theirs
  WHERE r.pid IS NOT NULL AND theirs.value = mine.value AND NOT EXISTS (
    SELECT 1 FROM json_each(?10) dead
    WHERE dead.value ->> 0 = r.id AND dead.value ->> 1 = r.epoch))";

/// Grants the run if nothing happened since [`RIVALS`] was read: `?2` is the epoch seen, `?7` the
/// rivals that are dead, as `[[id, epoch], ...]`.
pub(super) const GRANT: &str = "
UPDATE run SET epoch = ?2 + 1, who = ?3, host = ?4, pid = ?5, started = ?6
WHERE id = ?1 AND epoch = ?2 AND NOT EXISTS (
  SELECT 1 FROM json_each(run.locks) mine, run r, json_each(r.locks) theirs
  WHERE r.id <> ?1 AND r.pid IS NOT NULL AND theirs.value = mine.value AND NOT EXISTS (
    SELECT 1 FROM json_each(?7) dead
    WHERE dead.value ->> 0 = r.id AND dead.value ->> 1 = r.epoch))";

/// Gives a run up; a second time changes nothing.
pub(super) const RELEASE: &str = "
UPDATE run SET who = NULL, host = NULL, pid = NULL, started = NULL,
  head = coalesce((SELECT max(seq) FROM event WHERE event.run = run.id), 0)
WHERE id = ?1 AND epoch = ?2";

/// A new inbox item, if there is such a run.
pub(super) const SEND: &str =
    "INSERT INTO inbox (run, at, sender, body) SELECT id, ?2, ?3, ?4 FROM run WHERE id = ?1";

/// Events from a seq on.
pub(super) const LOAD: &str = "
SELECT e.seq, e.at, e.kind, coalesce(e.body, b.body, '') AS body, e.hash
FROM event e LEFT JOIN body b ON e.body IS NULL AND b.run = e.run AND b.seq = e.seq
WHERE e.run = ?1 AND e.seq >= ?2 ORDER BY e.seq";

/// Effects that are open.
pub(super) const EFFECTS: &str = "SELECT key, seq FROM effect WHERE run = ?1 ORDER BY seq, key";

/// Items that wait.
pub(super) const INBOX: &str = "SELECT id, at, sender, body FROM inbox WHERE run = ?1 ORDER BY id";

/// Runs in short; `?1` picks one, null takes all.
pub(super) const RUNS: &str = "
SELECT r.id, r.name, r.created, r.status, r.who, r.host, r.pid, r.started, r.head,
  coalesce(e.seq, 0) AS events, coalesce(e.at, r.created) AS updated
FROM run r LEFT JOIN event e
  ON e.run = r.id AND e.seq = (SELECT max(seq) FROM event WHERE run = r.id)
WHERE ?1 IS NULL OR r.id = ?1
ORDER BY r.created DESC, r.rowid DESC";

/// A number that rises with journal and inbox.
pub(super) const LENGTH: &str = "
SELECT mail + coalesce((SELECT max(seq) FROM event WHERE event.run = ?1), 0) FROM run WHERE id = ?1";
