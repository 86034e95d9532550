//! Numbers as people write them: exact decimals in full, everything else without float noise.

use crate::number::Number;

/// Significant digits shown of a number that has no exact decimal form.
const SHOWN_DIGITS: usize = 12;
/// Decimals shown after a conversion of units.
const CONVERTED_DECIMALS: usize = 4;
/// Decimals of an exact number beyond which it is rounded after all.
const MAX_DECIMALS: u32 = 20;

/// The human form. `converted` numbers are rounded to four decimals, or five digits below 1.
pub(crate) fn number(value: &Number, converted: bool) -> String {
    let exact = exact_decimal(value);
    if converted {
        return match exact {
            Some(text) if decimals(&text) <= CONVERTED_DECIMALS => text,
            _ => rounded_conversion(value),
        };
    }
    exact.unwrap_or_else(|| significant(value.to_f64(), SHOWN_DIGITS))
}

/// The nearest double, without the noise of the last places of a computed one.
pub(crate) fn to_f64(value: &Number) -> f64 {
    let text = exact_decimal(value).unwrap_or_else(|| match value {
        Number::Exact(..) => value.to_f64().to_string(),
        Number::Approx(float) => format!("{float:.14e}"),
    });
    text.parse().unwrap_or_else(|_| value.to_f64())
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// Halves away from zero, as `round` does: the double of 1.01325 is below it.
fn rounded_conversion(number: &Number) -> String {
    let value = number.to_f64();
    if value.abs() < 1.0 || value.abs() >= 1e15 {
        return significant(value, if value.abs() < 1.0 { CONVERTED_DECIMALS + 1 } else { SHOWN_DIGITS });
    }
    let scale = Number::integer(10_i128.pow(CONVERTED_DECIMALS as u32));
    let rounded = number.times(scale).and_then(|scaled| scaled.round().over(scale));
    let exact = rounded.ok().as_ref().and_then(exact_decimal);
    exact.unwrap_or_else(|| trimmed(&format!("{value:.CONVERTED_DECIMALS$}")))
}

/// All digits of a fraction whose denominator divides a power of ten.
fn exact_decimal(value: &Number) -> Option<String> {
    let Number::Exact(numerator, denominator) = *value else { return None };
    let mut rest = denominator;
    let (mut twos, mut fives) = (0_u32, 0_u32);
    while rest % 2 == 0 {
        rest /= 2;
        twos += 1;
    }
    while rest % 5 == 0 {
        rest /= 5;
        fives += 1;
    }
    let places = twos.max(fives);
    if rest != 1 || places > MAX_DECIMALS {
        return None;
    }
    let scale = 10_i128.pow(places) / denominator;
    let digits = numerator.unsigned_abs().checked_mul(scale.unsigned_abs())?.to_string();
    let places = places as usize;
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if numerator < 0 { "-" } else { "" };
    let point = if places == 0 { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// `digits` significant digits, positional between 1e-7 and 1e21, trailing zeros dropped.
fn significant(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(-7..21).contains(&exponent) {
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let places = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent;
    let nearest: f64 = scientific.parse().unwrap_or(value);
    trimmed(&format!("{nearest:.*}", usize::try_from(places).unwrap_or(0)))
}

fn trimmed(text: &str) -> String {
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
