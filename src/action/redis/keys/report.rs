//! The result of `redis.keys`, made of a [`Tally`]: totals first, names of keys cut to a length.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::tally::{BANDS, Others, Sum, TYPES, Tally};
use crate::action::redis::reply;

/// The longest name of a key that is shown, in characters.
const NAME: usize = 300;

/// The name of a key: text, or `hex:00ff` when it is none, cut at a length and said so.
pub(in crate::action::redis) fn name(key: &[u8]) -> String {
    let text = match std::str::from_utf8(key) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("hex:{}", reply::hex(&key[..key.len().min(NAME)])),
    };
    match text.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], key.len()),
        None => text,
    }
}

/// What a pass says beside the findings.
pub(super) struct Course {
    pub complete: bool,
    pub gone: u64,
    pub repeated: u64,
    pub lookups: u64,
    pub dbsize: Option<u64>,
    pub db: i64,
    pub took_ms: f64,
    pub paused_ms: f64,
    pub slowest_batch_ms: f64,
    pub batches: u64,
}

/// The whole result; with this many prefixes, and memory when it was asked for.
pub(super) fn result(tally: &Tally, shown: usize, memory: bool, course: &Course) -> Value {
    let all = &tally.all;
    let bytes = |bytes: u64| if memory { json!(bytes) } else { Value::Null };
    let types = TYPES.iter().enumerate().map(|(at, name)| {
        let part = json!({ "keys": all.types[at], "bytes": bytes(tally.type_bytes[at]) });
        ((*name).to_owned(), part)
    });
    let bands = BANDS.iter().zip(tally.bands);
    let bands = bands.map(|((name, _), keys)| ((*name).to_owned(), json!(keys)));
    let (by_prefix, others) = prefixes(tally, shown, memory);
    let exact = tally.given_up.prefixes == 0;
    let known = |prefixes: u64| if exact { json!(prefixes) } else { Value::Null };
    let mut examples: Vec<String> = tally.examples.iter().map(|key| name(key)).collect();
    examples.sort();
    json!({
        "keys": all.keys,
        "bytes": bytes(all.bytes),
        "without_ttl": all.without_ttl,
        "without_ttl_share": share(all.without_ttl, all.keys),
        "ttl_s": ttl(all),
        "ttl_bands": bands.collect::<Map<_, _>>(),
        "by_type": types.collect::<Map<_, _>>(),
        "by_prefix": by_prefix,
        "prefixes": known(tally.prefixes.len() as u64),
        "others": {
            "prefixes": known(others.prefixes),
            "keys": others.keys,
            "bytes": bytes(others.bytes),
            "without_ttl": others.without_ttl,
        },
        "short_by_at_most": { "keys": tally.short_keys, "bytes": bytes(tally.short_bytes) },
        "biggest": if memory { biggest(tally) } else { Value::Null },
        "without_ttl_such_as": examples,
        "complete": course.complete,
        "gone": course.gone,
        "repeated": course.repeated,
        "lookups": course.lookups,
        "dbsize": course.dbsize,
        "db": course.db,
        "took_ms": course.took_ms,
        "paused_ms": course.paused_ms,
        "slowest_batch_ms": course.slowest_batch_ms,
        "batches": course.batches,
    })
}

/// The largest prefixes, and the sum of all others.
fn prefixes(tally: &Tally, shown: usize, memory: bool) -> (Map<String, Value>, Others) {
    let mut order: Vec<(&[u8], &Sum)> = tally
        .prefixes
        .iter()
        .map(|(prefix, sum)| (&**prefix, sum))
        .collect();
    order.sort_unstable_by_key(|(prefix, sum)| {
        (Reverse(tally.weight(sum)), Reverse(sum.keys), *prefix)
    });
    let mut others = tally.given_up;
    let mut map = Map::new();
    for (at, (prefix, sum)) in order.into_iter().enumerate() {
        if at >= shown {
            others.add(sum);
            continue;
        }
        let kinds = TYPES.iter().zip(sum.types).filter(|(_, keys)| *keys > 0);
        let types: Map<String, Value> = kinds
            .map(|(name, keys)| ((*name).to_owned(), json!(keys)))
            .collect();
        map.insert(
            name(prefix),
            json!({
                "keys": sum.keys,
                "bytes": if memory { json!(sum.bytes) } else { Value::Null },
                "without_ttl": sum.without_ttl,
                "ttl_s": ttl(sum),
                "types": types,
            }),
        );
    }
    (map, others)
}

fn biggest(tally: &Tally) -> Value {
    let sorted = tally.biggest.clone().into_sorted_vec();
    let rows = sorted.into_iter().map(|Reverse(big)| {
        json!({
            "key": name(&big.key),
            "bytes": big.bytes,
            "type": TYPES[big.kind],
            "ttl_s": big.ttl_ms.map(seconds),
        })
    });
    rows.collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[expect(clippy::cast_precision_loss, reason = "seconds from milliseconds")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn ttl(sum: &Sum) -> Value {
    match sum.ending() {
        0 => Value::Null,
        ending => json!({
            "min": seconds(sum.ttl_min),
            "mean": sum.ttl_sum / ending as f64 / 1_000.0,
            "max": seconds(sum.ttl_max),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_bounded() {
        assert_eq!(name("é:1".as_bytes()), "é:1");
        assert_eq!(name(&[0, 0xff]), "hex:00ff");
        let long = name("k".repeat(1_000).as_bytes());
        assert!(long.ends_with("k… (1000 bytes in all)"), "{long}");
        let wild = name(&[0xff; 1_000]);
        assert!(wild.ends_with("f… (1000 bytes in all)"), "{wild}");
    }
}
