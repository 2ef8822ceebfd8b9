//! The files of a world: settings, the checklist, and the operator's scripts.
//! Text only; starts nothing.

use std::fs;

use crate::error::{Fail, Outcome};
use crate::process::own_binary;
use crate::settings::{BASE, Backend, CACHE_BACKENDS};
use crate::world::{World, sh_word, write_atomic};

const CHECKLIST: &str = "\
# Before the migration

## Validation
- [x] the 27 cache pattern checks pass with the cache that is in use
- [x] the pattern checks pass against a Redis of the production version
- [x] no open findings

## Capacity
- [x] Redis is limited to 256 MB and evicts by allkeys-lru
- [x] the key count of the databases 1 and 2 is known

## People
- [x] migration lead, backup operator and on-call engineer are named
- [x] the rollback was read by those who would carry it out
";

const CACHE_BACKENDS_PY: &str = "\
\"\"\"Where query results are cached.\"\"\"

CACHEOPS_ENABLED = False
CACHEOPS_REDIS = \"\"
CACHEOPS = {
    \"auth.user\": {\"ops\": \"get\", \"timeout\": 900},
    \"invoices.invoice\": {\"ops\": \"all\", \"timeout\": 300},
}
";

fn base_py() -> String {
    let backend = Backend::LocMem.path();
    format!(
        "\"\"\"Settings shared by every environment.\"\"\"

import os

from .cache_backends import *  # noqa: F403

MIDDLEWARE = [
    \"django.contrib.auth.middleware.AuthenticationMiddleware\",
    \"cache.middleware.CacheMiddleware\",
]

CACHES = {{
    \"default\": {{
        \"BACKEND\": \"{backend}\",
        \"LOCATION\": \"demo-locmem\",
        \"KEY_PREFIX\": os.getenv(\"CACHE_KEY_PREFIX\", \"revisbali\"),
        \"TIMEOUT\": int(os.getenv(\"CACHE_DEFAULT_TIMEOUT\", \"300\")),
    }},
}}
"
    )
}

/// Script name and the subcommand that it hands its arguments to.
const SCRIPTS: [(&str, &str); 8] = [
    ("appctl", "appctl"),
    ("manage", "manage"),
    ("use-redis", "use-redis"),
    ("use-locmem", "use-locmem"),
    ("print-backend", "print-backend"),
    ("maintenance", "maintenance"),
    ("fault", "fault"),
    ("traffic", "traffic"),
];

/// Writes all files of a new world.
pub fn build(world: &World) -> Outcome<()> {
    let put =
        |name: &str, text: &str, mode| write_atomic(&world.dir.join(name), text.as_bytes(), mode);
    put(BASE, &base_py(), 0o644)?;
    put(CACHE_BACKENDS, CACHE_BACKENDS_PY, 0o644)?;
    put("backend/cache/PRE_MIGRATION_CHECKLIST.md", CHECKLIST, 0o644)?;
    let program = sh_word(&own_binary()?);
    for (script, command) in SCRIPTS {
        // the world is where the script lies, whatever directory or environment it is called from
        let text = format!(
            "#!/bin/sh\nset -eu\nworld=$(CDPATH='' cd -- \"$(dirname \"$0\")/..\" && pwd)\nexec {program} --world \"$world\" {command} \"$@\"\n"
        );
        put(&format!("ops/{script}"), &text, 0o755)?;
    }
    fs::File::create(world.log_file())
        .map(drop)
        .map_err(|e| Fail::io("make the log file", e))
}
