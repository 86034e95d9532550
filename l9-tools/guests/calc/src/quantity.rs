//! A number with units, and the arithmetic of both.

use crate::number::{Number, Undefined};
use crate::units::{self, Dimension, Lookup, Unit};

/// Largest exponent of a unit: beyond it is a mistake, not physics.
const MAX_UNIT_POWER: i128 = 12;

/// A value in `units`, each with its exponent.
#[derive(Debug, Clone)]
pub(crate) struct Quantity {
    pub(crate) value: Number,
    units: Vec<(Unit, i8)>,
    /// Written with a percent sign: `200 + 10%` is relative.
    pub(crate) percent: bool,
    /// The result of an explicit conversion.
    pub(crate) converted: bool,
}

/// Why quantities do not go together.
pub(crate) type Mismatch = String;

/// The two units that a named speed or rate is the quotient of.
fn quotient(symbol: &str) -> Option<(Unit, Unit)> {
    let (above, below) = match symbol {
        "mph" => ("mi".to_owned(), "h"),
        "kn" => ("nmi".to_owned(), "h"),
        "kph" => ("km".to_owned(), "h"),
        _ => (format!("{}bit", symbol.strip_suffix("bps")?), "s"),
    };
    match (units::lookup(&above), units::lookup(below)) {
        (Lookup::Unit(above), Lookup::Unit(below)) => Some((above, below)),
        _ => None,
    }
}

fn undefined(reason: Undefined) -> Mismatch {
    reason.message().to_owned()
}

impl Quantity {
    pub(crate) fn plain(value: Number) -> Self {
        Self { value, units: Vec::new(), percent: false, converted: false }
    }

    /// One of `unit` to the power of `exponent`. Speeds and rates become quotients, so that
    /// `30 mph * 2 h` is in miles.
    pub(crate) fn of_unit(unit: Unit, exponent: i8) -> Self {
        let units = match quotient(&unit.symbol) {
            Some((above, below)) => vec![(above, exponent), (below, -exponent)],
            None => vec![(unit, exponent)],
        };
        Self { units, ..Self::plain(Number::ONE) }
    }

    /// The same units with another value.
    pub(crate) fn with_value(&self, value: Number) -> Self {
        Self { value, ..self.clone() }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.units.is_empty()
    }

    pub(crate) fn dimension(&self) -> Dimension {
        let mut total = units::NONE;
        for (unit, exponent) in &self.units {
            for (sum, part) in total.iter_mut().zip(unit.dimension) {
                *sum = sum.saturating_add(part.saturating_mul(*exponent));
            }
        }
        total
    }

    /// The product of all scales: one of these units in base units.
    fn scale(&self) -> Result<Number, Mismatch> {
        self.units.iter().try_fold(Number::ONE, |scale, (unit, exponent)| {
            let power = unit.scale.power(Number::integer(i128::from(*exponent)));
            power.and_then(|power| scale.times(power)).map_err(undefined)
        })
    }

    /// The zero point of a lone temperature unit.
    fn offset(&self) -> Number {
        match self.units.as_slice() {
            [(unit, 1)] => unit.offset,
            _ => Number::ZERO,
        }
    }

    /// The value this quantity has when expressed in the units of `target`.
    /// `difference` leaves out the zero points of temperature scales.
    fn value_in(&self, target: &Self, difference: bool) -> Result<Number, Mismatch> {
        if self.dimension() != target.dimension() {
            return Err(format!("{} is not {}", self.describe(), units::dimension_name(target.dimension())));
        }
        let (from, to) = if difference { (Number::ZERO, Number::ZERO) } else { (self.offset(), target.offset()) };
        let factor = self.scale()?.over(target.scale()?).map_err(undefined)?;
        self.value.plus(from).and_then(|value| value.times(factor)).and_then(|value| value.minus(to)).map_err(undefined)
    }

    fn describe(&self) -> String {
        let kind = units::dimension_name(self.dimension());
        self.unit_symbol().map_or_else(|| kind.to_owned(), |symbol| format!("{kind} ({symbol})"))
    }

    /// Expresses the quantity in the units of `target`.
    pub(crate) fn convert(&self, target: &Self) -> Result<Self, Mismatch> {
        if self.is_plain() && !target.is_plain() {
            return Err(format!(
                "a plain number has no unit to convert to {}: write one after it",
                target.unit_symbol().unwrap_or_default()
            ));
        }
        let value = self.value_in(target, false)?;
        Ok(Self { value, units: target.units.clone(), percent: false, converted: true })
    }

    /// `self + other`, or `self - other`. A percentage on the right is relative to the left;
    /// a temperature on the right counts as a difference.
    pub(crate) fn plus(&self, other: &Self, sign: i128) -> Result<Self, Mismatch> {
        let sign = Number::integer(sign);
        if other.percent && !self.percent {
            let change = other.value.times(sign).and_then(|part| part.plus(Number::ONE)).map_err(undefined)?;
            return self.scaled(change);
        }
        let added = other.value_in(self, true).map_err(|_| {
            let (verb, link) = if sign.is_negative() { ("subtract", "from") } else { ("add", "to") };
            format!("cannot {verb} {} {link} {}", other.describe(), self.describe())
        })?;
        let value = added.times(sign).and_then(|added| self.value.plus(added)).map_err(undefined)?;
        Ok(Self { value, units: self.units.clone(), percent: self.percent && other.percent, converted: false })
    }

    pub(crate) fn scaled(&self, factor: Number) -> Result<Self, Mismatch> {
        let value = self.value.times(factor).map_err(undefined)?;
        Ok(Self { value, units: self.units.clone(), percent: false, converted: false })
    }

    pub(crate) fn negated(&self) -> Self {
        self.with_value(self.value.negated())
    }

    /// `self * other^exponent`, `exponent` being 1 or -1. Units of one dimension merge into
    /// the left one's: `60 km/h * 90 min` is in km.
    pub(crate) fn times(&self, other: &Self, exponent: i8) -> Result<Self, Mismatch> {
        let factor = Number::integer(i128::from(exponent));
        let mut value = other.value.power(factor).and_then(|power| self.value.times(power)).map_err(undefined)?;
        let mut units = self.units.clone();
        let scaled_only = exponent == 1 && (other.is_plain() || self.is_plain());
        if !scaled_only && !other.is_plain() && [self, other].iter().any(|q| !q.offset().is_zero()) {
            return Err("convert the temperature to K before multiplying or dividing by it".to_owned());
        }
        for (unit, power) in &other.units {
            let power = power * exponent;
            match units.iter_mut().find(|(known, _)| known.dimension == unit.dimension) {
                Some((known, total)) => {
                    let ratio = unit.scale.over(known.scale).map_err(undefined)?;
                    let ratio = ratio.power(Number::integer(i128::from(power))).map_err(undefined)?;
                    value = value.times(ratio).map_err(undefined)?;
                    *total = total.checked_add(power).ok_or("the power of a unit is too large")?;
                }
                None => units.push((unit.clone(), power)),
            }
        }
        units.retain(|(_, power)| *power != 0);
        let product = Self { value, units, percent: false, converted: false };
        if product.dimension() == units::NONE && !product.is_plain() {
            let value = product.value.times(product.scale()?).map_err(undefined)?;
            return Ok(Self::plain(value));
        }
        Ok(product)
    }

    /// The floored remainder, in the units of `self`.
    pub(crate) fn modulo(&self, other: &Self) -> Result<Self, Mismatch> {
        let divisor = other.value_in(self, true)?;
        let value = self.value.modulo(divisor).map_err(undefined)?;
        Ok(self.with_value(value))
    }

    pub(crate) fn power(&self, exponent: &Self) -> Result<Self, Mismatch> {
        if !exponent.is_plain() {
            return Err(format!("an exponent must be a plain number, not {}", exponent.describe()));
        }
        let value = self.value.power(exponent.value).map_err(undefined)?;
        if self.is_plain() {
            return Ok(Self::plain(value));
        }
        let powers = self.units.iter().map(|(unit, power)| {
            let total = Number::integer(i128::from(*power)).times(exponent.value).ok()?.as_integer()?;
            (total.abs() <= MAX_UNIT_POWER).then_some((unit.clone(), i8::try_from(total).ok()?))
        });
        let units: Option<Vec<_>> = powers.collect();
        let units = units.ok_or_else(|| format!("{} cannot be raised to that power", self.describe()))?;
        let units = units.into_iter().filter(|(_, power)| *power != 0).collect();
        Ok(Self { units, ..Self::plain(value) })
    }

    /// Which of two quantities of one kind is larger.
    pub(crate) fn compare(&self, other: &Self) -> Result<std::cmp::Ordering, Mismatch> {
        Ok(self.value.compare(other.value_in(self, false)?))
    }

    /// The value as a plain number, angles as radians.
    pub(crate) fn radians(&self) -> Option<f64> {
        let dimension = self.dimension();
        if dimension == units::ANGLE {
            let degrees = self.scale().ok()?.times(self.value).ok()?;
            return Some(degrees.to_f64().to_radians());
        }
        self.is_plain().then(|| self.value.to_f64())
    }

    /// A product of several units becomes the one unit that has a name for it.
    pub(crate) fn for_display(self) -> Self {
        if self.converted || self.units.len() < 2 || self.named_product().is_some() {
            return self;
        }
        let Some(Lookup::Unit(unit)) = units::preferred(self.dimension()).map(units::lookup) else {
            return self;
        };
        let target = Self::of_unit(unit, 1);
        self.convert(&target).map(|shown| Self { converted: false, ..shown }).unwrap_or(self)
    }

    /// `kWh` for `kW·h`, `mph` for `mi/h`.
    fn named_product(&self) -> Option<String> {
        match self.units.as_slice() {
            [(watt, 1), (hour, 1)] if watt.symbol.ends_with('W') && hour.symbol == "h" => {
                Some(format!("{}h", watt.symbol))
            }
            [(mile, 1), (hour, -1)] if mile.symbol == "mi" && hour.symbol == "h" => Some("mph".to_owned()),
            [(mile, 1), (hour, -1)] if mile.symbol == "nmi" && hour.symbol == "h" => Some("kn".to_owned()),
            _ => None,
        }
    }

    /// The units as text: `km/h`, `m^2`, `kg·m/s^2`; none for a plain number.
    pub(crate) fn unit_symbol(&self) -> Option<String> {
        if self.is_plain() {
            return (self.percent && self.converted).then(|| "%".to_owned());
        }
        if let Some(name) = self.named_product() {
            return Some(name);
        }
        let with_power = |(unit, power): &(Unit, i8)| match power.unsigned_abs() {
            1 => unit.symbol.clone(),
            size => format!("{}^{size}", unit.symbol),
        };
        let part = |positive: bool| -> Vec<String> {
            self.units.iter().filter(|(_, power)| (*power > 0) == positive).map(with_power).collect()
        };
        let (above, below) = (part(true), part(false));
        let above = if above.is_empty() { "1".to_owned() } else { above.join("·") };
        Some(match below.as_slice() {
            [] => above,
            [one] => format!("{above}/{one}"),
            many => format!("{above}/({})", many.join("·")),
        })
    }
}
