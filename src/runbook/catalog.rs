//! What actions there are, as far as reading a runbook needs it.
//!
//! A [`Spec`] is data: the action's key, its parameters' type as functions, whether it changes
//! anything, what its result holds. The actions themselves live above and hand their specs down
//! in a [`Catalog`], so that a new action is one file and one registry line.

use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::de::{self, DecodeError};
use super::node::Node;

/// Whether carrying it out can change the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A probe: reads only.
    Reading,
    /// Anything else.
    Changing,
}

/// What a target is, by its key in `targets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetKind {
    Redis,
    Postgres,
    Mysql,
    Sqlite,
    Http,
    Prometheus,
    Host,
}

impl TargetKind {
    /// All kinds, in the order they are listed to people.
    pub const ALL: [Self; 7] = [
        Self::Redis,
        Self::Postgres,
        Self::Mysql,
        Self::Sqlite,
        Self::Http,
        Self::Prometheus,
        Self::Host,
    ];

    /// The key in the runbook.
    pub fn key(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
            Self::Http => "http",
            Self::Prometheus => "prometheus",
            Self::Host => "host",
        }
    }

    /// The kind with that key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

/// The three SQL kinds, for the actions that take any of them.
pub const SQL: &[TargetKind] = &[TargetKind::Postgres, TargetKind::Mysql, TargetKind::Sqlite];

/// What the language knows of one action.
#[derive(Clone, Copy)]
pub struct Spec {
    /// The action key, such as `redis.flush`.
    pub key: &'static str,
    /// One line for lists and the schema.
    pub summary: &'static str,
    /// Kinds of target it takes; empty when it takes none.
    pub targets: &'static [TargetKind],
    /// Whether the target may be left out.
    pub target_optional: bool,
    /// The parameter that the scalar short form sets, when there is a short form.
    pub short: Option<&'static str>,
    /// Parameters that are program text, where `${{ }}` is refused, and how values go in instead.
    pub program_text: &'static [&'static str],
    /// How values get into program text, for the error's help.
    pub values_go_in: &'static str,
    /// Whether it changes anything, judged from its parameters as written.
    pub class: fn(&Value) -> Class,
    /// Whether `undo: auto` is possible.
    pub undo_auto: bool,
    /// Fields of `result`, with what they hold.
    pub results: &'static [(&'static str, &'static str)],
    /// Whether `result` may hold other fields as well.
    pub results_open: bool,
    /// Checks the shape of the parameters.
    pub check: fn(&Node) -> Result<(), DecodeError>,
    /// Checks what the type cannot say, on the parameters as written, the short form spelled out:
    /// "either `run` or `argv`". Texts may still hold `${{ }}`. Errors as in [`DecodeError`].
    pub sense: fn(&Value) -> Result<(), String>,
    /// The parameters' JSON Schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Spec {
    /// A spec with the usual answers; the rest is filled in by struct update.
    pub const fn of<P>(key: &'static str, summary: &'static str) -> Self
    where
        P: serde::de::DeserializeOwned + schemars::JsonSchema,
    {
        Self {
            key,
            summary,
            targets: &[],
            target_optional: false,
            short: None,
            program_text: &[],
            values_go_in: "",
            class: always_changing,
            undo_auto: false,
            results: &[],
            results_open: false,
            check: check_as::<P>,
            sense: |_| Ok(()),
            schema: schema_of::<P>,
        }
    }
}

/// For [`Spec::class`] of actions that always change something.
pub fn always_changing(_: &Value) -> Class {
    Class::Changing
}

/// For [`Spec::class`] of probes.
pub fn always_reading(_: &Value) -> Class {
    Class::Reading
}

fn check_as<P: serde::de::DeserializeOwned>(node: &Node) -> Result<(), DecodeError> {
    de::from_node::<P>(node).map(|_| ())
}

fn schema_of<P: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<P>()
}

/// All actions, by key.
#[derive(Clone, Default)]
pub struct Catalog {
    specs: Vec<Spec>,
}

impl Catalog {
    /// From the registry's specs.
    pub fn new(mut specs: Vec<Spec>) -> Self {
        specs.sort_by_key(|spec| spec.key);
        Self { specs }
    }

    /// The spec of an action key.
    pub fn get(&self, key: &str) -> Option<&Spec> {
        let at = self
            .specs
            .binary_search_by_key(&key, |spec| spec.key)
            .ok()?;
        Some(&self.specs[at])
    }

    /// All specs, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Spec> {
        self.specs.iter()
    }
}
