//! What the tests stand on: private servers, contexts, the builder that runs the binary.

pub mod check;
pub mod chromium;
pub mod cluster;
pub mod context;
pub mod demo;
pub mod ferry;
pub mod keys;
pub mod mariadb;
pub mod ports;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod resp;
pub mod sentinel;
pub mod server;
pub mod still;
pub mod terminal;
pub mod wire;
