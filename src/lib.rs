//! ferry: a migration orchestrator and runbook executor.
//!
//! The house, from the ground up; arrows point down only, and `tests/architecture.rs` holds them:
//!
//! * core, which decides and never acts: [`runbook`] (text to model, with positions), [`expr`] (CEL),
//!   [`graph`] (order of the phases), [`plan`] (what will run), [`event`] (the waist of the house),
//!   [`run`] (state, `decide`, `apply`), [`view`] (events folded for readers);
//! * adapters, which act and never decide: [`action`] (shell, redis, sql, http, ...), [`store`]
//!   (journal, inbox, leases), [`secret`] (values that must not be seen),
//!   [`sign`] (signatures of people), [`comms`] (messages to people); [`failpoint`] is where tests make them fail;
//! * [`engine`], which carries decisions to adapters;
//! * [`front`] ends, which consume events, and [`cli`], which wires everything.

pub mod action;
pub mod cli;
pub mod comms;
pub mod engine;
pub mod event;
pub mod expr;
pub mod failpoint;
pub mod front;
pub mod graph;
pub mod plan;
pub mod run;
pub mod runbook;
pub mod secret;
pub mod sign;
pub mod store;
pub mod view;
