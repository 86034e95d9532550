//! The units and their dimensions, looked up by name.
//!
//! Scales are exact fractions of the base units metre, kilogram, second, kelvin, bit and
//! degree, from the SI brochure (9th edition) and NIST SP 811 appendix B.

use crate::number::Number;

/// Exponents of length, mass, time, temperature, data and angle.
pub(crate) type Dimension = [i8; 6];

pub(crate) const NONE: Dimension = [0; 6];
const LENGTH: Dimension = [1, 0, 0, 0, 0, 0];
const AREA: Dimension = [2, 0, 0, 0, 0, 0];
const VOLUME: Dimension = [3, 0, 0, 0, 0, 0];
const MASS: Dimension = [0, 1, 0, 0, 0, 0];
const TIME: Dimension = [0, 0, 1, 0, 0, 0];
const FREQUENCY: Dimension = [0, 0, -1, 0, 0, 0];
const TEMPERATURE: Dimension = [0, 0, 0, 1, 0, 0];
const DATA: Dimension = [0, 0, 0, 0, 1, 0];
pub(crate) const ANGLE: Dimension = [0, 0, 0, 0, 0, 1];
const SPEED: Dimension = [1, 0, -1, 0, 0, 0];
const FORCE: Dimension = [1, 1, -2, 0, 0, 0];
const ENERGY: Dimension = [2, 1, -2, 0, 0, 0];
const POWER: Dimension = [2, 1, -3, 0, 0, 0];
const PRESSURE: Dimension = [-1, 1, -2, 0, 0, 0];

/// A unit: `base = (value + offset) * scale`.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) symbol: String,
    pub(crate) dimension: Dimension,
    pub(crate) scale: Number,
    /// Where the scale starts: not zero for °C and °F only.
    pub(crate) offset: Number,
}

/// Which prefixes a unit takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefixes {
    No,
    Si,
    /// Thousands upwards, decimal and binary.
    Data,
}
use Prefixes::{Data, No, Si};

/// Names (the first is the symbol, long names from the third on are singular or irregular),
/// dimension, scale as a fraction, prefixes.
type Row = (&'static [&'static str], Dimension, (i128, i128), Prefixes);

const ROWS: &[Row] = &[
    (&["m", "metre", "meter"], LENGTH, (1, 1), Si),
    (&["in", "inch", "inches"], LENGTH, (254, 10_000), No),
    (&["ft", "foot", "feet"], LENGTH, (3048, 10_000), No),
    (&["yd", "yard"], LENGTH, (9144, 10_000), No),
    (&["mi", "mile"], LENGTH, (1_609_344, 1000), No),
    (&["nmi", "nauticalmile"], LENGTH, (1852, 1), No),
    (&["au", "AU"], LENGTH, (149_597_870_700, 1), No),
    (&["ly", "lightyear"], LENGTH, (9_460_730_472_580_800, 1), No),
    (&["g", "gram", "gramme"], MASS, (1, 1000), Si),
    (&["t", "tonne"], MASS, (1000, 1), No),
    (&["lb", "pound", "lbs"], MASS, (45_359_237, 100_000_000), No),
    (&["oz", "ounce"], MASS, (45_359_237, 1_600_000_000), No),
    (&["st", "stone"], MASS, (635_029_318, 100_000_000), No),
    (&["ton", "shortton"], MASS, (90_718_474, 100_000), No),
    (&["s", "second", "sec", "secs"], TIME, (1, 1), Si),
    (&["min", "minute", "mins"], TIME, (60, 1), No),
    (&["h", "hour", "hr", "hrs"], TIME, (3600, 1), No),
    (&["d", "day"], TIME, (86_400, 1), No),
    (&["week", "wk"], TIME, (604_800, 1), No),
    (&["month"], TIME, (2_629_800, 1), No),
    (&["year", "yr"], TIME, (31_557_600, 1), No),
    (&["Hz", "hertz"], FREQUENCY, (1, 1), Si),
    (&["K", "kelvin"], TEMPERATURE, (1, 1), No),
    (&["°C", "celsius", "C", "degC", "centigrade"], TEMPERATURE, (1, 1), No),
    (&["°F", "fahrenheit", "F", "degF"], TEMPERATURE, (5, 9), No),
    (&["ha", "hectare"], AREA, (10_000, 1), No),
    (&["acre"], AREA, (40_468_564_224, 10_000_000), No),
    (&["sqft"], AREA, (9_290_304, 100_000_000), No),
    (&["L", "litre", "liter", "l"], VOLUME, (1, 1000), Si),
    (&["gal", "gallon"], VOLUME, (3_785_411_784, 1_000_000_000_000), No),
    (&["qt", "quart"], VOLUME, (946_352_946, 1_000_000_000_000), No),
    (&["pt", "pint"], VOLUME, (473_176_473, 1_000_000_000_000), No),
    (&["cup"], VOLUME, (2_365_882_365, 10_000_000_000_000), No),
    (&["floz", "fluidounce"], VOLUME, (295_735_295_625, 10_000_000_000_000_000), No),
    (&["tbsp", "tablespoon"], VOLUME, (1_478_676_478_125, 100_000_000_000_000_000), No),
    (&["tsp", "teaspoon"], VOLUME, (492_892_159_375, 100_000_000_000_000_000), No),
    (&["mph"], SPEED, (44_704, 100_000), No),
    (&["kn", "knot", "kt", "kts"], SPEED, (1852, 3600), No),
    (&["kph", "kmh"], SPEED, (1000, 3600), No),
    (&["bit", "b"], DATA, (1, 1), Data),
    (&["B", "byte"], DATA, (8, 1), Data),
    (&["bps"], [0, 0, -1, 0, 1, 0], (1, 1), Data),
    (&["N", "newton"], FORCE, (1, 1), Si),
    (&["lbf"], FORCE, (44_482_216_152_605, 10_000_000_000_000), No),
    (&["J", "joule"], ENERGY, (1, 1), Si),
    (&["Wh", "watthour"], ENERGY, (3600, 1), Si),
    (&["cal", "calorie"], ENERGY, (4184, 1000), Si),
    (&["Cal"], ENERGY, (4184, 1), No),
    (&["eV", "electronvolt"], ENERGY, (1_602_176_634, 10_000_000_000_000_000_000_000_000_000), Si),
    (&["BTU", "Btu"], ENERGY, (105_505_585_262, 100_000_000), No),
    (&["W", "watt"], POWER, (1, 1), Si),
    (&["hp", "horsepower"], POWER, (74_569_987_158_227_022, 100_000_000_000_000), No),
    (&["Pa", "pascal"], PRESSURE, (1, 1), Si),
    (&["bar"], PRESSURE, (100_000, 1), Si),
    (&["atm", "atmosphere"], PRESSURE, (101_325, 1), No),
    (&["psi"], PRESSURE, (44_482_216_152_605 * 10_000, 64_516 * 1_000_000_000), No),
    (&["mmHg"], PRESSURE, (133_322_387_415, 1_000_000_000), No),
    (&["torr", "Torr"], PRESSURE, (101_325, 760), No),
    (&["°", "degree", "deg", "degs"], ANGLE, (1, 1), No),
    (&["rad", "radian"], ANGLE, (0, 1), No),
    (&["gon", "grad", "gradian"], ANGLE, (9, 10), No),
    (&["arcmin", "arcminute"], ANGLE, (1, 60), No),
    (&["arcsec", "arcsecond"], ANGLE, (1, 3600), No),
    (&["turn", "revolution", "rev"], ANGLE, (360, 1), No),
];

/// Symbol, name, power of ten.
const SI: &[(&str, &str, i32)] = &[
    ("n", "nano", -9),
    ("µ", "micro", -6),
    ("u", "micro", -6),
    ("μ", "micro", -6),
    ("m", "milli", -3),
    ("c", "centi", -2),
    ("d", "deci", -1),
    ("h", "hecto", 2),
    ("k", "kilo", 3),
    ("M", "mega", 6),
    ("G", "giga", 9),
    ("T", "tera", 12),
    ("P", "peta", 15),
];

/// Symbol, name, power of 1024.
const BINARY: &[(&str, &str, u32)] =
    &[("Ki", "kibi", 1), ("Mi", "mebi", 2), ("Gi", "gibi", 3), ("Ti", "tebi", 4), ("Pi", "pebi", 5)];

/// What a name means.
#[derive(Debug)]
pub(crate) enum Lookup {
    Unit(Unit),
    /// Spelt in another case the name fits several units: these.
    Ambiguous(Vec<String>),
    Unknown,
}

/// Finds a unit by its exact spelling, or else by the only one that differs in case alone.
pub(crate) fn lookup(name: &str) -> Lookup {
    if let Some(unit) = search(name, |known, given| known == given).into_iter().next() {
        return Lookup::Unit(unit);
    }
    if name.chars().count() == 1 && !matches!(name, "c" | "f") {
        return Lookup::Unknown;
    }
    let mut found = search(name, str::eq_ignore_ascii_case);
    found.dedup_by(|a, b| a.symbol == b.symbol);
    match found.len() {
        0 => Lookup::Unknown,
        1 => found.pop().map_or(Lookup::Unknown, Lookup::Unit),
        _ => Lookup::Ambiguous(found.into_iter().map(|unit| unit.symbol).collect()),
    }
}

fn search(name: &str, same: impl Fn(&str, &str) -> bool) -> Vec<Unit> {
    let mut found = Vec::new();
    for row in ROWS.iter().filter(|row| names(row.0).any(|known| same(&known, name))) {
        found.extend(prefixed(row, "", Number::ONE));
    }
    for row in ROWS.iter().filter(|row| row.3 != No) {
        for (symbol, long, power) in SI.iter().filter(|(_, _, power)| row.3 == Si || *power >= 3) {
            if same_prefixed(row, symbol, long, name, &same) {
                let ten = Number::integer(10).power(Number::integer(i128::from(*power)));
                let symbol = if matches!(*symbol, "u" | "μ") { "µ" } else { symbol };
                found.extend(ten.ok().and_then(|factor| prefixed(row, symbol, factor)));
            }
        }
        for (symbol, long, power) in BINARY.iter().filter(|_| row.3 == Data) {
            if same_prefixed(row, symbol, long, name, &same) {
                found.extend(prefixed(row, symbol, Number::integer(1024_i128.pow(*power))));
            }
        }
    }
    found
}

/// Short symbols take short prefixes, long names take long ones.
fn same_prefixed(row: &Row, symbol: &str, long: &str, name: &str, same: &impl Fn(&str, &str) -> bool) -> bool {
    names(row.0).any(|known| {
        let prefix = if is_symbol(row.0, &known) { symbol } else { long };
        name.len() == prefix.len() + known.len() && same(&format!("{prefix}{known}"), name)
    })
}

fn is_symbol(names: &[&str], name: &str) -> bool {
    names.first() == Some(&name) || name.chars().count() == 1
}

/// All spellings of a row; long regular ones also in the plural.
fn names<'a>(row: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    row.iter().flat_map(|name| {
        let plural = (name.len() > 2 && !name.ends_with('s')).then(|| format!("{name}s"));
        std::iter::once((*name).to_owned()).chain(plural)
    })
}

fn prefixed(row: &Row, prefix: &str, factor: Number) -> Option<Unit> {
    let (names, dimension, (numerator, denominator), _) = row;
    let symbol = *names.first()?;
    let base = match symbol {
        "rad" => Number::Approx(180.0 / std::f64::consts::PI),
        _ => Number::integer(*numerator).over(Number::integer(*denominator)).ok()?,
    };
    let offset = match symbol {
        "°C" => Number::Exact(27_315, 100),
        "°F" => Number::Exact(45_967, 100),
        _ => Number::ZERO,
    };
    Some(Unit { symbol: format!("{prefix}{symbol}"), dimension: *dimension, scale: base.times(factor).ok()?, offset })
}

/// The unit in which a product of several units is shown, where one has a name for it.
pub(crate) fn preferred(dimension: Dimension) -> Option<&'static str> {
    match dimension {
        ENERGY => Some("J"),
        POWER => Some("W"),
        FORCE => Some("N"),
        PRESSURE => Some("Pa"),
        _ => None,
    }
}

/// What a dimension is called in an error.
pub(crate) fn dimension_name(dimension: Dimension) -> &'static str {
    match dimension {
        NONE => "a plain number",
        LENGTH => "a length",
        AREA => "an area",
        VOLUME => "a volume",
        MASS => "a mass",
        TIME => "a time",
        FREQUENCY => "a frequency",
        TEMPERATURE => "a temperature",
        DATA => "an amount of data",
        ANGLE => "an angle",
        SPEED => "a speed",
        FORCE => "a force",
        ENERGY => "an energy",
        POWER => "a power",
        PRESSURE => "a pressure",
        _ => "another kind of quantity",
    }
}
