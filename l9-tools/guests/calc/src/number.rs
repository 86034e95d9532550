//! A number that stays an exact fraction as long as it can and is a double only when it must.
//!
//! Sums, products and percentages of decimals are exact; functions such as `sin`, irrational
//! roots and fractions beyond 128 bits are doubles. Neither infinite nor NaN is ever held, and what
//! the rounding of a large whole number would decide is refused.

use std::cmp::Ordering;

/// Why an operation has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undefined {
    DivisionByZero,
    TooLarge,
    NotReal,
    Inexact,
}

impl Undefined {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::DivisionByZero => "division by zero",
            Self::TooLarge => "the result is too large",
            Self::NotReal => "the result is not a real number",
            Self::Inexact => "the result cannot be known: numbers of more than 38 digits are rounded",
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Undefined>;

/// An exact fraction, or a finite double.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    /// Numerator and denominator: coprime, the denominator positive.
    Exact(i128, i128),
    Approx(f64),
}

/// From here on not every whole number is a double.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Numbers that differ by less than this part of them are nearly the same.
const NEARLY: f64 = 1e-12;

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// `numerator / denominator` in lowest terms; `None` when it does not fit.
fn reduced(numerator: i128, denominator: i128) -> Option<Number> {
    let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs());
    let divisor = i128::try_from(divisor).ok().filter(|&d| d != 0)?;
    let sign = if denominator < 0 { -1 } else { 1 };
    Some(Number::Exact((numerator / divisor).checked_mul(sign)?, (denominator / divisor).checked_mul(sign)?))
}

impl Number {
    pub(crate) const ZERO: Self = Self::Exact(0, 1);
    pub(crate) const ONE: Self = Self::Exact(1, 1);

    pub(crate) const fn integer(value: i128) -> Self {
        Self::Exact(value, 1)
    }

    /// A finite double, or the reason there is none.
    pub(crate) fn approximate(value: f64) -> Result<Self> {
        if value.is_nan() {
            Err(Undefined::NotReal)
        } else if value.is_infinite() {
            Err(Undefined::TooLarge)
        } else {
            Ok(Self::Approx(value))
        }
    }

    /// Reads `digits`, `digits.digits`, with an optional exponent. The lexer checked the form.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let approximate = || {
            let float: f64 = text.parse().map_err(|_| Undefined::NotReal)?;
            let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
            if float == 0.0 && mantissa.contains(|c: char| ('1'..='9').contains(&c)) {
                return Err(Undefined::TooLarge);
            }
            Self::approximate(float)
        };
        parse_exact(text).map_or_else(approximate, Ok)
    }

    #[expect(clippy::cast_precision_loss, reason = "a double is what is asked for")]
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Self::Exact(numerator, denominator) => numerator as f64 / denominator as f64,
            Self::Approx(value) => value,
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.to_f64() == 0.0
    }

    pub(crate) fn is_negative(self) -> bool {
        self.to_f64() < 0.0
    }

    /// The value as a whole number, when it is one.
    pub(crate) fn as_integer(self) -> Option<i128> {
        match self {
            Self::Exact(numerator, 1) => Some(numerator),
            _ => None,
        }
    }

    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Exact(numerator, denominator) => {
                numerator.checked_neg().map_or_else(|| Self::Approx(-self.to_f64()), |n| Self::Exact(n, denominator))
            }
            Self::Approx(value) => Self::Approx(-value),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Result<Self> {
        if let (Self::Exact(a, b), Self::Exact(c, d)) = (self, other) {
            let exact = (|| {
                let common = i128::try_from(gcd(b.unsigned_abs(), d.unsigned_abs())).ok()?;
                let (left, right) = (d / common, b / common);
                let numerator = a.checked_mul(left)?.checked_add(c.checked_mul(right)?)?;
                reduced(numerator, b.checked_mul(left)?)
            })();
            if let Some(sum) = exact {
                return Ok(sum);
            }
        }
        let (left, right) = (self.to_f64(), other.to_f64());
        let (sum, size) = (left + right, left.abs().max(right.abs()));
        // Of two large numbers that nearly cancel out, rounding alone is left.
        if size >= WHOLE && sum.abs() < size * NEARLY {
            return Err(Undefined::Inexact);
        }
        Self::approximate(sum)
    }

    pub(crate) fn minus(self, other: Self) -> Result<Self> {
        self.plus(other.negated())
    }

    pub(crate) fn times(self, other: Self) -> Result<Self> {
        if let (Self::Exact(a, b), Self::Exact(c, d)) = (self, other) {
            let exact = (|| {
                // Cancelling crosswise first keeps the products small.
                let (Self::Exact(a, d), Self::Exact(c, b)) = (reduced(a, d)?, reduced(c, b)?) else {
                    return None;
                };
                reduced(a.checked_mul(c)?, b.checked_mul(d)?)
            })();
            if let Some(product) = exact {
                return Ok(product);
            }
        }
        Self::approximate(self.to_f64() * other.to_f64())
    }

    pub(crate) fn over(self, other: Self) -> Result<Self> {
        if other.is_zero() {
            return Err(Undefined::DivisionByZero);
        }
        match other {
            Self::Exact(c, d) => match reduced(d, c) {
                Some(inverse) => self.times(inverse),
                None => Self::approximate(self.to_f64() / other.to_f64()),
            },
            Self::Approx(value) => Self::approximate(self.to_f64() / value),
        }
    }

    /// The remainder of floored division: it has the sign of the divisor.
    pub(crate) fn modulo(self, other: Self) -> Result<Self> {
        let quotient = self.over(other)?.floor();
        if quotient.as_integer().is_none() && quotient.to_f64().abs() >= WHOLE {
            return Err(Undefined::Inexact);
        }
        self.minus(quotient.times(other)?)
    }

    pub(crate) fn power(self, exponent: Self) -> Result<Self> {
        if self.is_zero() && exponent.is_negative() {
            return Err(Undefined::DivisionByZero);
        }
        if let (Self::Exact(..), Some(whole)) = (self, exponent.as_integer())
            && let Some(exact) = self.whole_power(whole)
        {
            return if whole < 0 { Self::ONE.over(exact) } else { Ok(exact) };
        }
        if let (Self::Exact(..), Self::Exact(1, 2)) = (self, exponent) {
            return self.root();
        }
        Self::approximate(self.to_f64().powf(exponent.to_f64()))
    }

    /// `self` to the power of `|exponent|`, as long as that fits.
    fn whole_power(self, exponent: i128) -> Option<Self> {
        let Self::Exact(numerator, denominator) = self else { return None };
        let exponent = match numerator {
            0 | 1 if denominator == 1 => u32::from(exponent != 0),
            _ => u32::try_from(exponent.unsigned_abs()).ok()?,
        };
        Some(Self::Exact(numerator.checked_pow(exponent)?, denominator.checked_pow(exponent)?))
    }

    pub(crate) fn root(self) -> Result<Self> {
        if self.is_negative() {
            return Err(Undefined::NotReal);
        }
        if let Self::Exact(numerator, denominator) = self {
            let (n, d) = (numerator.isqrt(), denominator.isqrt());
            if n * n == numerator && d * d == denominator {
                return Ok(Self::Exact(n, d));
            }
        }
        Self::approximate(self.to_f64().sqrt())
    }

    pub(crate) fn floor(self) -> Self {
        match self {
            Self::Exact(numerator, denominator) => Self::integer(numerator.div_euclid(denominator)),
            Self::Approx(value) => Self::Approx(value.floor()),
        }
    }

    pub(crate) fn ceil(self) -> Self {
        self.negated().floor().negated()
    }

    /// The nearest whole number, halves away from zero.
    pub(crate) fn round(self) -> Self {
        match self {
            Self::Exact(..) => {
                let size = if self.is_negative() { self.negated() } else { self };
                let nearest = size.plus(Self::Exact(1, 2)).map_or(size, Self::floor);
                if self.is_negative() { nearest.negated() } else { nearest }
            }
            Self::Approx(value) => Self::Approx(value.round()),
        }
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        if let (Self::Exact(a, b), Self::Exact(c, d)) = (self, other)
            && let (Some(left), Some(right)) = (a.checked_mul(d), c.checked_mul(b))
        {
            return left.cmp(&right);
        }
        self.to_f64().total_cmp(&other.to_f64())
    }
}

fn parse_exact(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = [whole, fraction].concat().parse().ok()?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    if digits == 0 {
        return Some(Number::ZERO);
    }
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 { reduced(digits, power) } else { Some(Number::integer(digits.checked_mul(power)?)) }
}
