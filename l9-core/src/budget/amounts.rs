//! The amounts that are budgeted, and how they are reckoned with. They are listed once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::unfit;
use crate::json::PAYLOAD_INTEGER;

/// Declares every amount with its unit, as errors name it.
macro_rules! amounts {
    ($($(#[doc = $doc:literal])+ $name:ident in $unit:literal,)+) => {
        /// Amounts of everything that is budgeted.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Cost {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "crate::run::is_zero")] pub $name: u64,)+
        }

        /// The most a run may use; an absent amount is unlimited.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Budget {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<u64>,)+
        }

        /// Every amount's name and unit.
        pub(super) const UNITS: [(&str, &str); [$($unit),+].len()] = [$((stringify!($name), $unit)),+];

        impl Cost {
            /// Every amount with its name.
            #[must_use]
            pub fn amounts(&self) -> [(&'static str, u64); UNITS.len()] {
                [$((stringify!($name), self.$name)),+]
            }

            pub(crate) fn with(self, other: Self, mut join: impl FnMut(u64, u64) -> u64) -> Self {
                Self { $($name: join(self.$name, other.$name)),+ }
            }
        }

        impl Budget {
            /// Every amount with its name.
            #[must_use]
            pub fn amounts(&self) -> [(&'static str, Option<u64>); UNITS.len()] {
                [$((stringify!($name), self.$name)),+]
            }

            /// Limits every amount to what it is.
            #[must_use]
            pub fn of(cost: Cost) -> Self {
                Self { $($name: Some(cost.$name)),+ }
            }

            /// What is limited, and nothing of what is not.
            #[must_use]
            pub fn most(&self) -> Cost {
                Cost { $($name: self.$name.unwrap_or_default()),+ }
            }

            pub(crate) fn with(
                self,
                other: Self,
                mut join: impl FnMut(Option<u64>, Option<u64>) -> Option<u64>,
            ) -> Self {
                Self { $($name: join(self.$name, other.$name)),+ }
            }

            pub(super) fn amount(&mut self, name: &str) -> Option<&mut Option<u64>> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

amounts! {
    /// Millionths of a US dollar.
    micro_usd in "millionths of a US dollar (5 dollars are 5000000)",
    /// Model tokens, in and out.
    tokens in "model tokens",
    /// Governed effects.
    calls in "calls of models and tools",
    /// Units of wasm fuel.
    fuel in "units of wasm fuel",
    /// Milliseconds that effects are under way, summed over them; waiting takes none.
    time_ms in "milliseconds (a minute is 60000)",
    /// Bytes of requests that leave the machine.
    egress_bytes in "bytes (a mebibyte is 1048576)",
}

impl Cost {
    /// Nothing at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The sum, every amount at most 2^53 - 1, the largest that a journal holds exactly.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| a.saturating_add(b).min(PAYLOAD_INTEGER))
    }

    /// The difference, at least nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }
}

impl Budget {
    /// Names the first amount that `used` exceeds.
    #[must_use]
    pub fn exceeded_by(&self, used: &Cost) -> Option<String> {
        self.first(used, |limit, used| used > limit)
    }

    /// What is left of it once so much was used.
    #[must_use]
    pub fn left(&self, used: &Cost) -> Self {
        self.with(Self::of(*used), |limit, used| Some(limit?.saturating_sub(used?)))
    }

    /// Names the first amount of which all was used. What may not be used at all, and was
    /// not, is not used up.
    #[must_use]
    pub fn used_up(&self, used: &Cost) -> Option<String> {
        self.first(used, |limit, used| used > 0 && used >= limit)
    }

    /// So much of every amount that it limits.
    #[must_use]
    pub fn limited_to(&self, cost: Cost) -> Self {
        self.with(Self::of(cost), |limit, cost| limit.and(cost))
    }

    /// Names the first amount that no journal could hold exactly.
    #[must_use]
    pub fn oversized(&self) -> Option<String> {
        let mut limited = self.amounts().into_iter().filter_map(|(name, limit)| Some((name, limit?)));
        limited.find(|(_, limit)| *limit > PAYLOAD_INTEGER).map(|(name, limit)| unfit(name, limit))
    }

    /// The stricter of both in every amount.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        self.with(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }

    /// The sum, every amount at most 2^53 - 1; unlimited where one of both is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| Some(a?.saturating_add(b?).min(PAYLOAD_INTEGER)))
    }

    /// So many times every amount, at most 2^53 - 1; unlimited where the amount is, or how many
    /// times is not known, and there is something to multiply.
    #[must_use]
    pub fn times(self, times: Option<u64>) -> Self {
        self.with(self, |amount, _| match (amount, times) {
            (Some(0), _) | (_, Some(0)) => Some(0),
            (amount, times) => Some(amount?.saturating_mul(times?).min(PAYLOAD_INTEGER)),
        })
    }

    /// Names the first limited amount of which so much was used that something holds.
    fn first(&self, used: &Cost, holds: impl Fn(u64, u64) -> bool) -> Option<String> {
        self.amounts().into_iter().zip(used.amounts()).find_map(|((name, limit), (_, used))| {
            limit.filter(|limit| holds(*limit, used)).map(|limit| format!("{used} {name} of {limit}"))
        })
    }
}
