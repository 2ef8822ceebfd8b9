//! The reference of the actions, from what the language knows of them: as Markdown, which reads well
//! in a terminal too. `docs/actions.md` is this text.

use std::fmt::Write as _;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::runbook::{Catalog, Class, Spec};

/// All actions.
pub fn all(catalog: &Catalog) -> String {
    let mut text = String::from(
        "# Actions\n\nWhat a step can do. One of these keys stands in each step, beside `target` where one is \
         needed.\nThis page is what `ferry actions` prints.\n\n| action | what it does | changes |\n| --- | --- | --- |\n",
    );
    for spec in catalog.iter() {
        let _ = writeln!(
            text,
            "| [`{}`](#{}) | {} | {} |",
            spec.key,
            anchor(spec.key),
            spec.summary,
            changes(spec)
        );
    }
    for spec in catalog.iter() {
        text.push('\n');
        text += &one(spec);
    }
    text
}

/// One action.
pub fn one(spec: &Spec) -> String {
    let mut text = format!("## {}\n\n{}.\n\n", spec.key, capital(spec.summary));
    let kinds: Vec<_> = spec
        .targets
        .iter()
        .map(|kind| format!("`{}`", kind.key()))
        .collect();
    if !kinds.is_empty() {
        let optional = if spec.target_optional {
            ", may be left out"
        } else {
            ""
        };
        let _ = writeln!(text, "- target: {}{optional}", kinds.join(", "));
    }
    let _ = writeln!(text, "- changes things: {}", changes(spec));
    let _ = writeln!(
        text,
        "- `undo: auto`: {}",
        if spec.undo_auto { "yes" } else { "no" }
    );
    if let Some(short) = spec.short {
        let _ = writeln!(text, "- text alone is `{short}`");
    }
    if !spec.program_text.is_empty() {
        let names: Vec<_> = spec
            .program_text
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let _ = writeln!(
            text,
            "- holds no `${{{{ }}}}`: {}; {}",
            names.join(", "),
            spec.values_go_in
        );
    }
    parameters(spec, &mut text);
    if !spec.results.is_empty() {
        text += "\n| `result.` | what it holds |\n| --- | --- |\n";
        for (name, holds) in spec.results {
            let _ = writeln!(text, "| `{name}` | {} |", cell(holds));
        }
        if spec.results_open {
            text += "\nMore fields may be there, as the system names them.\n";
        }
    }
    text
}

/// The names of an action's parameters.
pub fn parameter_names(spec: &Spec) -> Vec<String> {
    let mut generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let schema = (spec.schema)(&mut generator).to_value();
    let definitions: Map<String, Value> = generator.take_definitions(true);
    let properties = resolve(&schema, &definitions).get("properties");
    let names = properties.and_then(Value::as_object).into_iter().flatten();
    names.map(|(name, _)| name.clone()).collect()
}

fn parameters(spec: &Spec, text: &mut String) {
    let mut generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let schema = (spec.schema)(&mut generator).to_value();
    let definitions: Map<String, Value> = generator.take_definitions(true);
    let schema = resolve(&schema, &definitions);
    let Some(properties) = schema
        .get("properties")
        .and_then(Value::as_object)
        .filter(|map| !map.is_empty())
    else {
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    *text += "\n| parameter | type | meaning |\n| --- | --- | --- |\n";
    for (name, property) in properties {
        let must = if required.contains(&name.as_str()) {
            " (needed)"
        } else {
            ""
        };
        let meaning = property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{name}`{must} | {} | {} |",
            kind(property, &definitions),
            cell(meaning)
        );
    }
}

/// A reference to a definition is that definition.
fn resolve<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next());
    name.and_then(|name| definitions.get(name))
        .unwrap_or(schema)
}

/// A schema's type in a word or two.
fn kind(schema: &Value, definitions: &Map<String, Value>) -> String {
    if let Some(name) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next())
    {
        let named = definitions
            .get(name)
            .map(|definition| kind(definition, definitions));
        return if name == "Duration" {
            "duration".into()
        } else {
            named.unwrap_or_default()
        };
    }
    if let Some(any) = schema
        .get("anyOf")
        .or(schema.get("oneOf"))
        .and_then(Value::as_array)
    {
        let mut kinds: Vec<String> = any
            .iter()
            .map(|one| kind(one, definitions))
            .filter(|kind| kind != "null")
            .collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        return values.join(" or ");
    }
    let word = |word: &str| match word {
        "string" => "text".to_owned(),
        "array" => {
            let items = schema
                .get("items")
                .map(|items| kind(items, definitions))
                .unwrap_or_default();
            format!("list of {items}")
        }
        "object" => "mapping".to_owned(),
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(one)) => word(one),
        Some(Value::Array(some)) => {
            let some = some
                .iter()
                .filter_map(Value::as_str)
                .filter(|one| *one != "null");
            some.map(word).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".into(),
    }
}

fn changes(spec: &Spec) -> &'static str {
    match ((spec.class)(&Value::Null), spec.key) {
        (_, "http" | "redis" | "sql") => "as the call does",
        (Class::Reading, _) => "no",
        (Class::Changing, _) => "yes",
    }
}

fn anchor(key: &str) -> String {
    key.replace('.', "")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
