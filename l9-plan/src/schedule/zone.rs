//! Time zones by their IANA names.

use jiff::tz::{self, TimeZone};
use l9_core::{Error, Result};
use strsim::levenshtein;

/// How many near names an error tells.
const NEAR: usize = 3;

/// Finds a zone.
///
/// # Errors
/// `Invalid` for a name that is none, with those that are near it.
pub(super) fn find(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(64).collect();
        let near = near(&shown);
        let mend = if near.is_empty() {
            "use an IANA name such as Europe/Berlin, or UTC".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        Error::invalid(format!("there is no time zone {shown:?}: {mend}"))
    })
}

/// Names that may have been meant, the nearest first: by the city too, since that is what
/// people remember.
fn near(name: &str) -> Vec<String> {
    let wanted = name.to_lowercase().replace(' ', "_");
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut ranked: Vec<(usize, String)> = tz::db()
        .available()
        .map(|known| known.as_str().to_owned())
        .filter_map(|known| {
            let lower = known.to_lowercase();
            let apart = levenshtein(&wanted, &lower).min(levenshtein(&city(&wanted), &city(&lower)));
            (apart <= 2).then_some((apart, known))
        })
        .collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(NEAR).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_zone_names_near_ones() {
        let wrong = |name: &str| find(name).unwrap_err().to_string();
        assert!(find("Europe/Berlin").is_ok() && find("UTC").is_ok());
        assert!(wrong("Europe/Berlim").contains("did you mean Europe/Berlin"), "{}", wrong("Europe/Berlim"));
        assert!(wrong("new york").contains("America/New_York"), "{}", wrong("new york"));
        assert!(wrong("Mars/Olympus_Mons").contains("use an IANA name such as Europe/Berlin"));
    }
}
