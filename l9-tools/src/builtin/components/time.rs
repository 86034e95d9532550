//! `time/now` and `time/calc`.

use l9_core::tool::Limits;
use semver::Version;
use serde_json::{Value, json};

use super::embedded::{Asks, Embedded, small};

/// 1.0.1 did not say so where what is added leads to a time that clocks skip or show twice.
const VERSION: Version = Version::new(1, 0, 2);

pub(super) const TIME: &[u8] = include_bytes!("../../../guests/dist/time.wasm");

pub(super) fn now() -> Embedded {
    Embedded {
        id: "time/now",
        version: VERSION,
        title: "Tell the time",
        description: "Tells date, time, weekday and week of now, in a time zone. Use it whenever an answer depends on \
                      today's date.",
        component: TIME,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {"zone": zone("the zone; UTC if absent")}
        }),
        output: moment(),
        limits: limits(),
        asks: Asks::Time,
        args: &[],
    }
}

pub(super) fn calc() -> Embedded {
    let time = "2026-03-29, 2026-03-29T02:30, 2026-03-29T02:30:00+02:00 or 2026-03-29T02:30[Europe/Berlin]";
    let peculiar = json!({
        "enum": [null, "skipped", "twice"],
        "description": "of the time as it was given, or as the days that are added lead to it; skipped: the clocks left \
                        that time out, and it was moved on by as much; twice: the clocks showed it twice, and the first \
                        is meant"
    });
    let text =
        |description: &str| json!({"type": "string", "minLength": 1, "maxLength": 100, "description": description});
    Embedded {
        id: "time/calc",
        version: VERSION,
        title: "Calculate with time",
        description: "Calculates with dates and times: adds an ISO 8601 duration by the calendar and clocks of a zone, \
                      converts into another zone, and tells how far another time is. Use it for every question about \
                      dates; time/now gives the time of now to start from.",
        component: TIME,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["at"],
            "properties": {
                "at": text(&format!("the time to start from, at most 9999-12-30: {time}")),
                "zone": zone("the zone of times that name none; UTC if absent"),
                "add": text("an ISO 8601 duration to add, such as P1Y2M3D, P2W, PT90M or -P1D"),
                "to": zone("the zone to convert into"),
                "until": text("another time, to tell how far it is")
            }
        }),
        output: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["at", "peculiar", "until"],
            "properties": {
                "at": moment(),
                "peculiar": peculiar,
                "until": {
                    "anyOf": [
                        {"type": "null"},
                        {
                            "type": "object",
                            "additionalProperties": false,
                            "required": ["at", "days", "duration", "peculiar", "seconds"],
                            "properties": {
                                "at": moment(),
                                "peculiar": peculiar,
                                "duration": {"type": "string", "description": "ISO 8601, by the calendar"},
                                "days": {"type": "integer", "description": "whole days by the calendar"},
                                "seconds": {"type": "integer", "description": "whole; less than one is 0"}
                            }
                        }
                    ]
                }
            }
        }),
        limits: limits(),
        asks: Asks::Nothing,
        args: &[],
    }
}

fn zone(description: &str) -> Value {
    let description = format!("{description}; a name of the IANA database, such as Europe/Berlin");
    json!({"type": "string", "minLength": 1, "maxLength": 100, "description": description})
}

/// A point in time as both tools tell it.
fn moment() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["date", "day_of_year", "daylight_saving", "local", "time", "unix", "utc", "week", "weekday", "zone"],
        "properties": {
            "utc": {"type": "string", "description": "RFC 3339 in UTC"},
            "local": {"type": "string", "description": "RFC 3339 with the zone's offset"},
            "zone": {"type": "string"},
            "date": {"type": "string"},
            "time": {"type": "string"},
            "weekday": {"type": "string"},
            "week": {"type": "string", "description": "of ISO 8601, such as 2026-W09"},
            "day_of_year": {"type": "integer"},
            "unix": {"type": "integer", "description": "seconds since 1970"},
            "daylight_saving": {"type": "boolean"}
        }
    })
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 16 << 20,
        fuel: 200_000_000,
        input_bytes: 4 << 10,
        depth: 4,
        output_bytes: 16 << 10,
        ..small()
    }
}
