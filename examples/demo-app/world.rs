//! The world directory: where things lie and what `world.env` says ([`World`]).
//! Reads and writes files only; starts and stops nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Fail, Outcome};

/// An existing world.
#[derive(Debug, Clone)]
pub struct World {
    /// Absolute path of the world directory.
    pub dir: PathBuf,
    env: BTreeMap<String, String>,
}

impl World {
    /// Opens the world in `dir`; fails where `world.env` is missing or not one of ours.
    pub fn open(dir: &Path) -> Outcome<Self> {
        let file = dir.join("world.env");
        let text = fs::read_to_string(&file)
            .map_err(|e| Fail::io(format!("read `{}` (is there a world?)", file.display()), e))?;
        let env = parse_env(&text);
        if !env.contains_key("DEMO_WORLD") {
            return Err(Fail::said(format!(
                "`{}` is not a demo world: its `world.env` lacks DEMO_WORLD",
                dir.display()
            )));
        }
        let dir = dir
            .canonicalize()
            .map_err(|e| Fail::io(format!("resolve `{}`", dir.display()), e))?;
        Ok(Self { dir, env })
    }

    /// Writes `world.env` (readable by its owner only, for it names a password) and opens the world.
    pub fn create(dir: &Path, env: &[(&str, String)]) -> Outcome<Self> {
        let mut text = String::new();
        for (name, value) in env {
            text.push_str(&format!("{name}={}\n", sh_word(value)));
        }
        write_atomic(&dir.join("world.env"), text.as_bytes(), 0o600)?;
        Self::open(dir)
    }

    /// A value of `world.env`.
    pub fn get(&self, name: &str) -> Outcome<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| Fail::said(format!("`world.env` lacks {name}")))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Outcome<T> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|_| Fail::said(format!("{name} in `world.env` is not a number: `{text}`")))
    }

    /// Port of the front; instance N listens on this plus N.
    pub fn base_port(&self) -> Outcome<u16> {
        self.number("INSTANCE_BASE_PORT")
    }

    /// How many instances this world has.
    pub fn instances(&self) -> Outcome<u16> {
        self.number("DEMO_INSTANCES")
    }

    /// Lifetime of cached values in seconds.
    pub fn cache_timeout(&self) -> Outcome<u64> {
        self.number("CACHE_DEFAULT_TIMEOUT")
    }

    /// The Redis URL with another database number.
    pub fn redis_db(&self, db: u8) -> Outcome<String> {
        Ok(with_db(self.get("REDIS_URL")?, db))
    }

    /// The port of instance `n`; fails where there is no such instance.
    pub fn instance_port(&self, n: u16) -> Outcome<u16> {
        let count = self.instances()?;
        if n == 0 || n > count {
            return Err(Fail::said(format!(
                "there is no instance {n}: this world has 1 to {count}"
            )));
        }
        Ok(self.base_port()? + n)
    }

    /// The application's log file.
    pub fn log_file(&self) -> PathBuf {
        self.dir.join("logs/app.log")
    }

    /// Appends one line to the application's log, in a single write.
    pub fn log(&self, level: &str, text: &str) {
        let now = jiff::Timestamp::now();
        let line = format!("{now:.3} {level}: {text}\n");
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file());
        // a service does not stop serving because its log is full
        if let Ok(mut file) = file {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Replaces the database number at the end of a Redis URL.
pub fn with_db(url: &str, db: u8) -> String {
    let after_scheme = url.find("://").map_or(0, |i| i + 3);
    let end = url[after_scheme..]
        .find('/')
        .map_or(url.len(), |i| after_scheme + i);
    format!("{}/{db}", &url[..end])
}

/// Writes a file so that a reader sees the old or the new content, never a part.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Outcome<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".new{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        // the mode given at creation passes through the umask; the old file's mode must not
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Fail::io(format!("write `{}`", path.display()), e)
    })
}

/// A value as one word for `sh`, quoted only where it must be.
pub fn sh_word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn parse_env(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let bare = value
                .strip_prefix('\'')
                .and_then(|v| v.strip_suffix('\''))
                .map_or_else(|| value.to_owned(), |v| v.replace(r"'\''", "'"));
            (name.to_owned(), bare)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_trip_through_world_env() {
        for value in ["plain", "/a dir/with 'quotes'", "redis://127.0.0.1:1/1", ""] {
            let line = format!("X={}\n", sh_word(value));
            assert_eq!(parse_env(&line)["X"], value);
        }
    }

    #[test]
    fn the_database_number_is_replaced_and_nothing_else() {
        assert_eq!(
            with_db("redis://127.0.0.1:7000/1", 2),
            "redis://127.0.0.1:7000/2"
        );
        assert_eq!(with_db("redis://h:7000", 15), "redis://h:7000/15");
    }
}
