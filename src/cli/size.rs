//! Sizes and times as people write and read them.

use std::time::Duration;

/// Bytes in the largest binary unit that keeps the number readable.
pub fn show(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// How many images, in words.
pub fn images(count: impl TryInto<u64>) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    if count == 1 { "1 image".to_owned() } else { format!("{count} images") }
}

/// `1 blob`, `2 blobs`.
pub fn count(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// Reads `1500000`, `500MB`, `2 GiB`, `2G` (binary, as in coreutils).
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("a whole number with kB, MB, GB, KiB, MiB or GiB is expected".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a whole number is expected before the unit".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "the size is too large".to_owned())
}

/// Reads `90`, `90s`, `10m`, `2h`.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a whole number with s, m or h is expected".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a whole number is expected before the unit".to_owned())?;
    let seconds = number.checked_mul(factor).filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "between one second and a year is expected".to_owned())
}

const MAX_SECONDS: u64 = 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_parses() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (1_572_864, "1.5 MiB")]
        {
            assert_eq!(show(bytes), text);
        }
        for (text, bytes) in
            [("12", Some(12)), ("2GiB", Some(2 << 30)), ("2 gb", Some(2_000_000_000)), ("5M", Some(5 << 20))]
        {
            assert_eq!(parse(text).ok(), bytes, "{text}");
        }
        for (text, seconds) in [("90", Some(90)), (" 10m", Some(600)), ("2h", Some(7200)), ("0", None), ("9999h", None)]
        {
            assert_eq!(parse_time(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in ["", "m", "1.5h", "-1", "3d", "99999999999999999999", "9999999999999999999h"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        for text in ["", "GiB", "1.5G", "-1", "3XB", "99999999999GiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
