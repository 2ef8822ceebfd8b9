//! The fault harness: a generated migration of 40 steps whose effects go into ledgers that ferry
//! knows nothing of, killed at every place that there is, and held against the invariants.
//!
//! [`book`] makes the runbook, [`ledger`] reads what really happened, [`drive`] runs, kills, resumes
//! and answers as an honest operator would, [`check`] compares. Needs the feature `failpoints`.

mod artefacts;
mod book;
mod check;
mod crash;
mod doctored;
mod drive;
mod fact;
mod ledger;
mod line;
mod panics;
mod points;
mod soak;
