//! The system catalogs of the three dialects, read into one [`Shape`] per table.
//!
//! Definitions are the server's own text, so they compare equal only within one dialect.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::conn::{Conn, Fault, Table};

/// The structure of one table.
#[derive(Default)]
pub struct Shape {
    columns: BTreeMap<String, Value>,
    indexes: BTreeMap<String, String>,
    constraints: BTreeMap<String, String>,
}

impl Shape {
    /// As the result shows it: `columns`, `indexes`, `constraints`, each by name.
    pub fn shown(self) -> Value {
        json!({
            "columns": self.columns,
            "indexes": self.indexes,
            "constraints": self.constraints,
        })
    }
}

type Row = Map<String, Value>;

fn text(row: &Row, field: &str) -> String {
    match row.get(field) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

fn truth(row: &Row, field: &str) -> bool {
    match row.get(field) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_i64() != Some(0),
        _ => false,
    }
}

async fn rows(conn: &mut Conn, sql: &str) -> Result<Vec<Row>, Fault> {
    let Table { rows, .. } = conn.rows(sql, &[]).await?;
    Ok(rows)
}

const POSTGRES_NAMES: &str = "select \
    case when n.nspname = current_schema() then c.relname::text \
         else n.nspname || '.' || c.relname end as t, \
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) as q, c.oid::int8 as id \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'";

const MYSQL_NAMES: &str = "select table_name as t, \
    concat('`', replace(table_name, '`', '``'), '`') as q from information_schema.tables \
    where table_schema = database() and table_type = 'BASE TABLE'";

const SQLITE_NAMES: &str = "select name as t, '\"' || replace(name, '\"', '\"\"') || '\"' as q \
    from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'";

fn names_of(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => POSTGRES_NAMES,
        Conn::Mysql(_) => MYSQL_NAMES,
        Conn::Sqlite(_) => SQLITE_NAMES,
    }
}

/// All tables by name, with the name quoted for SQL.
///
/// # Errors
/// The driver's.
pub async fn names(conn: &mut Conn) -> Result<BTreeMap<String, String>, Fault> {
    let sql = names_of(conn);
    let rows = rows(conn, sql).await?;
    Ok(rows
        .iter()
        .map(|row| (text(row, "t"), text(row, "q")))
        .collect())
}

/// The structure of all tables.
///
/// # Errors
/// The driver's.
pub async fn read(conn: &mut Conn) -> Result<BTreeMap<String, Shape>, Fault> {
    let mut shapes: BTreeMap<String, Shape> = names(conn)
        .await?
        .into_keys()
        .map(|name| (name, Shape::default()))
        .collect();
    match conn {
        Conn::Postgres(_) => postgres(conn, &mut shapes).await?,
        Conn::Mysql(_) => mysql(conn, &mut shapes).await?,
        Conn::Sqlite(_) => sqlite(conn, &mut shapes).await?,
    }
    Ok(shapes)
}

/// Puts a column of each row into its table.
fn columns(shapes: &mut BTreeMap<String, Shape>, rows: &[Row]) {
    for row in rows {
        if let Some(shape) = shapes.get_mut(&text(row, "t")) {
            let column = json!({
                "type": text(row, "type"),
                "nullable": truth(row, "nullable"),
                "default": row.get("preset").cloned().unwrap_or(Value::Null),
            });
            shape.columns.insert(text(row, "name"), column);
        }
    }
}

async fn postgres(conn: &mut Conn, shapes: &mut BTreeMap<String, Shape>) -> Result<(), Fault> {
    let found = rows(
        conn,
        &format!(
            "select x.t, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type, \
         not a.attnotnull as nullable, \
         case when a.attidentity <> '' then 'generated as identity' \
              else pg_get_expr(d.adbin, d.adrelid) end as preset \
         from ({POSTGRES_NAMES}) x join pg_attribute a on a.attrelid = x.id::oid \
         left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
         where a.attnum > 0 and not a.attisdropped"
        ),
    )
    .await?;
    columns(shapes, &found);
    let found = rows(conn, &format!(
        "select x.t, c.relname::text as name, pg_get_indexdef(i.indexrelid) as def, i.indisvalid as valid \
         from ({POSTGRES_NAMES}) x join pg_index i on i.indrelid = x.id::oid \
         join pg_class c on c.oid = i.indexrelid"
    ))
    .await?;
    for row in &found {
        if let Some(shape) = shapes.get_mut(&text(row, "t")) {
            let invalid = if truth(row, "valid") {
                ""
            } else {
                " (invalid)"
            };
            let definition = text(row, "def") + invalid;
            shape.indexes.insert(text(row, "name"), definition);
        }
    }
    let found = rows(
        conn,
        &format!(
            "select x.t, c.conname::text as name, pg_get_constraintdef(c.oid) as def \
         from ({POSTGRES_NAMES}) x join pg_constraint c on c.conrelid = x.id::oid"
        ),
    )
    .await?;
    for row in &found {
        if let Some(shape) = shapes.get_mut(&text(row, "t")) {
            shape
                .constraints
                .insert(text(row, "name"), text(row, "def"));
        }
    }
    Ok(())
}

/// Columns of indexes and keys, gathered from one row each: by table and name, what stands before
/// and behind the list.
type Gathered = BTreeMap<(String, String), (String, Vec<String>, Vec<String>, String)>;

fn gather(
    rows: &[Row],
    before: impl Fn(&Row) -> String,
    behind: impl Fn(&Row) -> String,
) -> Gathered {
    let mut gathered = Gathered::new();
    for row in rows {
        let entry = gathered
            .entry((text(row, "t"), text(row, "name")))
            .or_insert_with(|| (before(row), Vec::new(), Vec::new(), behind(row)));
        entry.1.push(text(row, "col"));
        entry.2.push(text(row, "ref_col"));
    }
    gathered
}

async fn mysql(conn: &mut Conn, shapes: &mut BTreeMap<String, Shape>) -> Result<(), Fault> {
    let found = rows(
        conn,
        "select table_name as t, column_name as name, \
         trim(concat(column_type, ' ', extra)) as type, is_nullable = 'YES' as nullable, \
         column_default as preset from information_schema.columns where table_schema = database()",
    )
    .await?;
    columns(shapes, &found);
    let found = rows(
        conn,
        "select table_name as t, index_name as name, non_unique as plain, index_type as kind, \
         concat(coalesce(column_name, '?'), coalesce(concat('(', sub_part, ')'), '')) as col \
         from information_schema.statistics where table_schema = database() \
         order by table_name, index_name, seq_in_index",
    )
    .await?;
    let kind = |row: &Row| {
        let unique = if truth(row, "plain") { "" } else { "unique " };
        format!("{unique}{}", text(row, "kind").to_lowercase())
    };
    for ((table, name), (kind, list, _, _)) in gather(&found, kind, |_| String::new()) {
        if let Some(shape) = shapes.get_mut(&table) {
            shape
                .indexes
                .insert(name, format!("{kind} ({})", list.join(", ")));
        }
    }
    let found = rows(
        conn,
        "select c.table_name as t, c.constraint_name as name, c.constraint_type as kind, \
         k.column_name as col, k.referenced_table_name as ref_table, \
         k.referenced_column_name as ref_col, r.update_rule as on_update, r.delete_rule as on_delete \
         from information_schema.table_constraints c \
         join information_schema.key_column_usage k on k.constraint_schema = c.constraint_schema \
          and k.constraint_name = c.constraint_name and k.table_name = c.table_name \
         left join information_schema.referential_constraints r \
          on r.constraint_schema = c.constraint_schema and r.constraint_name = c.constraint_name \
          and r.table_name = c.table_name \
         where c.table_schema = database() order by t, name, k.ordinal_position",
    )
    .await?;
    keys(
        shapes,
        gather(&found, |row| text(row, "kind").to_lowercase(), references),
    );
    mysql_checks(conn, shapes).await
}

/// MariaDB names checks per table, MySQL per schema.
async fn mysql_checks(conn: &mut Conn, shapes: &mut BTreeMap<String, Shape>) -> Result<(), Fault> {
    let version = rows(conn, "select version() as v").await?;
    let mariadb = version.iter().any(|row| text(row, "v").contains("MariaDB"));
    let same_table = if mariadb {
        "and k.table_name = c.table_name"
    } else {
        ""
    };
    let found = rows(
        conn,
        &format!(
            "select c.table_name as t, c.constraint_name as name, k.check_clause as def \
         from information_schema.table_constraints c \
         join information_schema.check_constraints k \
         on k.constraint_schema = c.constraint_schema and k.constraint_name = c.constraint_name \
         {same_table} where c.table_schema = database() and c.constraint_type = 'CHECK'"
        ),
    )
    .await?;
    for row in &found {
        if let Some(shape) = shapes.get_mut(&text(row, "t")) {
            let definition = format!("check ({})", text(row, "def"));
            shape.constraints.insert(text(row, "name"), definition);
        }
    }
    Ok(())
}

fn references(row: &Row) -> String {
    match text(row, "ref_table") {
        table if table.is_empty() => String::new(),
        table => format!(
            "{table}\non update {} on delete {}",
            text(row, "on_update").to_lowercase(),
            text(row, "on_delete").to_lowercase()
        ),
    }
}

fn keys(shapes: &mut BTreeMap<String, Shape>, gathered: Gathered) {
    for ((table, name), (kind, columns, referenced, to)) in gathered {
        let own = format!("{kind} ({})", columns.join(", "));
        let definition = match to.split_once('\n') {
            Some((to, rules)) => {
                format!("{own} references {to} ({}) {rules}", referenced.join(", "))
            }
            None => own,
        };
        if let Some(shape) = shapes.get_mut(&table) {
            shape.constraints.insert(name, definition);
        }
    }
}

async fn sqlite(conn: &mut Conn, shapes: &mut BTreeMap<String, Shape>) -> Result<(), Fault> {
    let found = rows(
        conn,
        &format!(
            "select x.t, p.name, p.type, p.\"notnull\" = 0 as nullable, p.dflt_value as preset \
         from ({SQLITE_NAMES}) x, pragma_table_xinfo(x.t) p"
        ),
    )
    .await?;
    columns(shapes, &found);
    let found = rows(
        conn,
        &format!(
            "select x.t, l.name, case when l.\"unique\" then 'unique' else 'index' end as kind, \
         coalesce(i.name, '(expression)') as col, s.sql as def \
         from ({SQLITE_NAMES}) x, pragma_index_list(x.t) l, pragma_index_info(l.name) i \
         left join sqlite_schema s on s.type = 'index' and s.name = l.name \
         order by x.t, l.name, i.seqno"
        ),
    )
    .await?;
    for ((table, name), (kind, list, _, written)) in
        gather(&found, |row| text(row, "kind"), |row| text(row, "def"))
    {
        if let Some(shape) = shapes.get_mut(&table) {
            let definition = match written.as_str() {
                "" => format!("{kind} ({})", list.join(", ")),
                written => written.to_owned(),
            };
            shape.indexes.insert(name, definition);
        }
    }
    let found = rows(
        conn,
        &format!(
            "select x.t, 'primary key' as name, 'primary key' as kind, p.name as col \
         from ({SQLITE_NAMES}) x, pragma_table_xinfo(x.t) p where p.pk > 0 order by x.t, p.pk"
        ),
    )
    .await?;
    keys(shapes, gather(&found, |row| text(row, "kind"), references));
    let found = rows(conn, &format!(
        "select x.t, 'foreign key ' || f.id as name, 'foreign key' as kind, f.\"from\" as col, \
         f.\"table\" as ref_table, coalesce(f.\"to\", 'primary key') as ref_col, f.on_update, f.on_delete \
         from ({SQLITE_NAMES}) x, pragma_foreign_key_list(x.t) f order by x.t, f.id, f.seq"
    ))
    .await?;
    keys(shapes, gather(&found, |row| text(row, "kind"), references));
    Ok(())
}
