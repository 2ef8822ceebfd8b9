//! Sizes and durations as people write them: [`parse_data_size`], [`parse_duration`].
//!
//! The one place that knows the units; a number without a unit is refused, not guessed.

/// Bytes of a text such as `200mb`, `1.5 GiB` or `512b`; every unit is a power of 1024.
///
/// # Errors
/// A message that names what is wrong with the text.
pub fn parse_data_size(text: &str) -> Result<i64, String> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor: f64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "kb" | "kib" | "k" => 1024.0,
        "mb" | "mib" | "m" => 1_048_576.0,
        "gb" | "gib" | "g" => 1_073_741_824.0,
        "tb" | "tib" | "t" => 1_099_511_627_776.0,
        "" => return Err(format!("`{}` has no unit (b, kb, mb, gb, tb)", short(text))),
        _ => return Err(format!("`{}` is no size such as `200mb`", short(text))),
    };
    let value =
        decimal(number).ok_or_else(|| format!("`{}` is no size such as `200mb`", short(text)))?;
    let bytes = value * factor;
    // 2^53: beyond it a double no longer holds every whole number, and no disk is that large
    if bytes > 9_007_199_254_740_992.0 {
        return Err(format!("`{}` is too large", short(text)));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be below 2^53 just above"
    )]
    let whole = bytes.round() as i64;
    Ok(whole)
}

/// Nanoseconds of a text such as `90s`, `1h30m`, `1.5h`, `24h` or `7d`.
///
/// # Errors
/// A message that names what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "`{}` is no duration such as `90s`, `1h30m` or `7d`",
            short(text)
        )
    };
    let trimmed = text.trim();
    let (negative, mut rest) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("`{}` has no unit (ms, s, m, h, d)", short(text)))?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let factor: i64 = match unit.trim() {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return Err(wrong()),
        };
        let part = times(number, factor).ok_or_else(wrong)?;
        total = part
            .checked_add(total)
            .ok_or_else(|| format!("`{}` is too long", short(text)))?;
        rest = next;
    }
    Ok(if negative { -total } else { total })
}

/// A decimal number times a factor; exact for whole numbers.
fn times(number: &str, factor: i64) -> Option<i64> {
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(factor);
    }
    #[expect(clippy::cast_precision_loss, reason = "factors are far below 2^53")]
    let product = decimal(number)? * factor as f64;
    if product >= 9.0e18 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to fit just above")]
    let whole = product.round() as i64;
    Some(whole)
}

fn decimal(text: &str) -> Option<f64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(part))
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .filter(|value| value.is_finite())
}

/// `1h30m`, `250ms`, `0s`: text that [`parse_duration`] reads back to the same value.
pub(super) fn duration_text(nanos: i64) -> String {
    const UNITS: &[(&str, u64)] = &[
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let mut left = nanos.unsigned_abs();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut out = if nanos < 0 {
        "-".to_owned()
    } else {
        String::new()
    };
    for (unit, size) in UNITS {
        if left >= *size {
            out.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    out
}

/// The text, cut to what fits a message. How a cut is written is known to who hides secrets: one
/// that it went through must not show its beginning.
pub(super) fn short(text: &str) -> String {
    let mut cut: String = text.chars().take(40).collect();
    match text.len() - cut.len() {
        0 => cut,
        more => {
            cut.push_str(&format!("… ({more} more bytes)"));
            cut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0b", 0),
            ("512b", 512),
            ("1kb", 1024),
            ("1KiB", 1024),
            ("200mb", 209_715_200),
            ("1.5 GB", 1_610_612_736),
            (" 2tb ", 2_199_023_255_552),
        ] {
            assert_eq!(parse_data_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "mb",
            "200",
            "200xb",
            "-1kb",
            "1.kb",
            ".5kb",
            "1e3kb",
            "99999999tb",
            "1 000kb",
            "nanb",
            "infb",
        ] {
            assert!(parse_data_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        const S: i64 = 1_000_000_000;
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300 * S),
            ("1h30m", 5400 * S),
            ("24h", 86_400 * S),
            ("7d", 604_800 * S),
            ("1w", 604_800 * S),
            ("1.5h", 5400 * S),
            ("250ms", S / 4),
            ("1us", 1000),
            ("-90s", -90 * S),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        }
        for text in [
            "",
            "-",
            "5",
            "m",
            "5x",
            "1h30",
            "5m!",
            "1..5h",
            "999999999999d",
            "--5m",
            "5 m 3",
            "1e3s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn duration_text_reads_back() {
        for nanos in [
            0,
            1,
            999,
            1_000_000,
            5_400_000_000_000,
            -90_000_000_000,
            86_400_000_000_001,
            i64::MAX,
        ] {
            assert_eq!(parse_duration(&duration_text(nanos)), Ok(nanos), "{nanos}");
        }
        assert_eq!(duration_text(5_400_000_000_000), "1h30m");
    }
}
