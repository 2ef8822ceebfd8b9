//! The integration suite: one binary, so that private servers are started once and shared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

mod support;

mod action_file;
mod action_http;
mod action_log;
mod action_redis;
mod action_sql;
mod architecture;
mod check;
mod checks;
mod checks_servers;
mod children;
mod comms;
mod demo_app;
mod detach;
mod diff;
mod exit_codes;
#[cfg(feature = "failpoints")]
mod faults;
mod faults_http;
mod faults_input;
mod faults_redis;
mod faults_secrets;
mod faults_table;
mod gates;
mod guided;
mod hybrid_cache;
mod limits;
mod notes;
mod orders;
mod plan_way_back;
mod preflight;
mod probe;
mod probes;
mod probes_sql;
mod prometheus;
mod readme;
mod redis_probes;
mod redis_ways;
mod rehearse;
mod rehearse_full;
mod rehearse_watched;
mod rehearse_world;
mod report_html;
mod resume;
mod rollback;
mod run;
mod secrets;
mod shell;
mod shown_watched;
mod sign;
mod signals;
mod snapshots;
mod sql_lint;
mod steps;
mod store_contract;
mod store_faults;
mod store_sqlite;
mod store_witness;
mod terminal;
mod watch;
