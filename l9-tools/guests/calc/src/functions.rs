//! The functions an expression may call.

use std::cmp::Ordering;

use crate::number::{Number, Undefined};
use crate::quantity::Quantity;

/// Names with the fewest and the most arguments they take.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("sqrt", 1, 1),
    ("abs", 1, 1),
    ("round", 1, 2),
    ("floor", 1, 1),
    ("ceil", 1, 1),
    ("min", 1, usize::MAX),
    ("max", 1, usize::MAX),
    ("ln", 1, 1),
    ("log", 1, 1),
    ("log10", 1, 1),
    ("log2", 1, 1),
    ("exp", 1, 1),
    ("sin", 1, 1),
    ("cos", 1, 1),
    ("tan", 1, 1),
    ("pow", 2, 2),
];

/// Below this a trigonometric result is zero but for rounding.
const NOISE: f64 = 1e-15;
/// Most decimals `round(x, n)` takes.
const MAX_PLACES: i128 = 30;

/// The fewest and the most arguments of a function, when there is one of that name.
pub(crate) fn arity(name: &str) -> Option<(usize, usize)> {
    FUNCTIONS.iter().find(|(known, ..)| *known == name).map(|(_, fewest, most)| (*fewest, *most))
}

/// The functions there are.
pub(crate) fn names() -> String {
    FUNCTIONS.iter().map(|(name, ..)| *name).collect::<Vec<&str>>().join(", ")
}

/// Calls the function `name`, whose arity the parser has checked.
pub(crate) fn call(name: &str, arguments: &[Quantity]) -> Result<Quantity, String> {
    let [first, rest @ ..] = arguments else { return Err(format!("{name} needs an argument")) };
    let keeping_unit = |value: Number| Ok(first.with_value(value));
    match name {
        "abs" if first.value.is_negative() => Ok(first.negated()),
        "abs" => Ok(first.clone()),
        "floor" => keeping_unit(first.value.floor()),
        "ceil" => keeping_unit(first.value.ceil()),
        "round" => keeping_unit(round(first.value, rest.first())?),
        "sqrt" => first.power(&Quantity::plain(Number::Exact(1, 2))),
        "pow" => rest.first().map_or_else(|| Err("pow needs two arguments".to_owned()), |power| first.power(power)),
        "min" => extreme(arguments, Ordering::Less),
        "max" => extreme(arguments, Ordering::Greater),
        "sin" | "cos" | "tan" => trigonometric(name, first),
        _ => logarithmic(name, first),
    }
}

fn round(value: Number, places: Option<&Quantity>) -> Result<Number, String> {
    let Some(places) = places else { return Ok(value.round()) };
    let places = places.value.as_integer().filter(|n| places.is_plain() && n.abs() <= MAX_PLACES);
    let places = places.ok_or_else(|| format!("round takes a whole number of decimals, at most {MAX_PLACES}"))?;
    let rounded =
        Number::integer(10).power(Number::integer(places)).and_then(|scale| value.times(scale)?.round().over(scale));
    rounded.map_err(|reason| reason.message().to_owned())
}

fn extreme(arguments: &[Quantity], wanted: Ordering) -> Result<Quantity, String> {
    let mut best = arguments.first().ok_or("needs an argument")?;
    for candidate in arguments {
        if candidate.compare(best)? == wanted {
            best = candidate;
        }
    }
    Ok(best.clone())
}

fn trigonometric(name: &str, argument: &Quantity) -> Result<Quantity, String> {
    let angle = argument.radians().ok_or_else(|| format!("{name} takes an angle or a plain number"))?;
    let clean = |value: f64| if value.abs() < NOISE { 0.0 } else { value };
    let value = match name {
        "sin" => clean(angle.sin()),
        "cos" => clean(angle.cos()),
        _ if angle.cos().abs() < NOISE => return Err("tan is undefined there".to_owned()),
        _ => clean(angle.tan()),
    };
    approximate(value)
}

fn logarithmic(name: &str, argument: &Quantity) -> Result<Quantity, String> {
    if !argument.is_plain() {
        return Err(format!("{name} takes a plain number"));
    }
    let value = argument.value.to_f64();
    if name != "exp" && value <= 0.0 {
        return Err(format!("{name} takes a number above zero"));
    }
    approximate(match name {
        "exp" => value.exp(),
        "ln" => value.ln(),
        "log2" => value.log2(),
        _ => value.log10(),
    })
}

fn approximate(value: f64) -> Result<Quantity, String> {
    Number::approximate(value).map(Quantity::plain).map_err(|reason: Undefined| reason.message().to_owned())
}
