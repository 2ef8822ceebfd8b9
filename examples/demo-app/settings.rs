//! The application's settings files, read and rewritten as text ([`Settings`]).
//! They look like Django's, and the service really takes its cache backend from them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::error::{Fail, Outcome};
use crate::world::{World, with_db, write_atomic};

/// Below the world directory.
pub const BASE: &str = "backend/settings/base.py";
/// Below the world directory.
pub const CACHE_BACKENDS: &str = "backend/settings/cache_backends.py";

/// Which cache the service uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    LocMem,
    Redis,
}

impl Backend {
    /// The dotted path that the settings name it by.
    pub fn path(self) -> &'static str {
        match self {
            Self::LocMem => "django.core.cache.backends.locmem.LocMemCache",
            Self::Redis => "django_redis.cache.RedisCache",
        }
    }

    /// The short name shown by `/health`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LocMem => "locmem",
            Self::Redis => "redis",
        }
    }
}

/// What the settings files say now.
#[derive(Debug, Clone)]
pub struct Settings {
    pub backend: Backend,
    pub backend_path: String,
    /// `LOCATION` of the default cache: a Redis URL, or a name for the in-memory cache.
    pub location: String,
    /// `CACHEOPS_REDIS`: the Redis URL of the ORM cache, empty without Redis.
    pub cacheops_redis: String,
}

impl Settings {
    /// Reads both files; fails where a setting is missing or the backend is not known.
    pub fn read(world: &World) -> Outcome<Self> {
        let base = read(&world.dir.join(BASE))?;
        let backends = read(&world.dir.join(CACHE_BACKENDS))?;
        let backend_path = value(&base, r#""BACKEND": "#, BASE)?;
        let backend = [Backend::LocMem, Backend::Redis]
            .into_iter()
            .find(|b| b.path() == backend_path)
            .ok_or_else(|| {
                Fail::said(format!(
                    "`{BASE}` names an unknown BACKEND `{backend_path}`"
                ))
            })?;
        Ok(Self {
            backend,
            backend_path,
            location: value(&base, r#""LOCATION": "#, BASE)?,
            cacheops_redis: value(&backends, "CACHEOPS_REDIS = ", CACHE_BACKENDS)?,
        })
    }
}

/// Carries out `use-redis` and `use-locmem`. Both files are replaced whole, so that no reader sees
/// a half of one; doing it twice changes nothing.
pub fn switch(world: &World, to: Backend) -> Outcome<()> {
    let before = Settings::read(world)?;
    let url = world.get("REDIS_URL")?;
    let (location, orm, enabled) = match to {
        Backend::Redis => (url.to_owned(), with_db(url, 2), "True"),
        Backend::LocMem => ("demo-locmem".to_owned(), String::new(), "False"),
    };
    edit(
        &world.dir.join(CACHE_BACKENDS),
        &[
            (
                r#"CACHEOPS_REDIS = "[^"]*""#,
                format!(r#"CACHEOPS_REDIS = "{orm}""#),
            ),
            (
                r"CACHEOPS_ENABLED = \w+",
                format!("CACHEOPS_ENABLED = {enabled}"),
            ),
        ],
    )?;
    edit(
        &world.dir.join(BASE),
        &[
            (
                r#""BACKEND": "[^"]*""#,
                format!(r#""BACKEND": "{}""#, to.path()),
            ),
            (
                r#""LOCATION": "[^"]*""#,
                format!(r#""LOCATION": "{location}""#),
            ),
        ],
    )?;
    println!("BACKEND was {}, is {}", before.backend_path, to.path());
    Ok(())
}

fn edit(file: &PathBuf, changes: &[(&str, String)]) -> Outcome<()> {
    let mode = fs::metadata(file)
        .map_err(|e| Fail::io(format!("look at `{}`", file.display()), e))?
        .permissions()
        .mode();
    let mut text = read(file)?;
    for (pattern, replacement) in changes {
        let pattern = Regex::new(pattern).expect("the patterns above are valid");
        if !pattern.is_match(&text) {
            return Err(Fail::said(format!(
                "`{}` has no line like `{pattern}`",
                file.display()
            )));
        }
        text = pattern
            .replace(&text, regex::NoExpand(replacement))
            .into_owned();
    }
    write_atomic(file, text.as_bytes(), mode & 0o777)
}

fn read(file: &Path) -> Outcome<String> {
    fs::read_to_string(file).map_err(|e| Fail::io(format!("read `{}`", file.display()), e))
}

fn value(text: &str, before: &str, file: &str) -> Outcome<String> {
    let found = text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(before)?.strip_prefix('"')?;
        rest.split_once('"').map(|(v, _)| v.to_owned())
    });
    let name = before.trim_matches(|c| " \":=".contains(c));
    found.ok_or_else(|| Fail::said(format!("`{file}` has no setting {name}")))
}
