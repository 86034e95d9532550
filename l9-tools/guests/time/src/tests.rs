//! Questions about time and what they come to.

use serde_json::{Value, json};

use crate::invoke;

fn ask(tool: &str, input: &Value) -> Result<Value, String> {
    invoke(tool, &input.to_string(), || 1_774_751_400_123).map(|answer| serde_json::from_str(&answer).unwrap())
}

fn calc(input: &Value) -> Value {
    ask("time/calc", input).unwrap()
}

fn local(input: &Value) -> String {
    calc(input)["at"]["local"].as_str().unwrap().to_owned()
}

#[test]
fn now_is_what_the_host_says() {
    let now = ask("time/now", &json!({"zone": "Europe/Berlin"})).unwrap();
    assert_eq!(
        now,
        json!({
            "utc": "2026-03-29T02:30:00.123Z", "local": "2026-03-29T04:30:00.123+02:00", "zone": "Europe/Berlin",
            "date": "2026-03-29", "time": "04:30:00.123", "weekday": "Sunday", "week": "2026-W13", "day_of_year": 88,
            "unix": 1_774_751_400, "daylight_saving": true
        })
    );
    assert_eq!(ask("time/now", &json!({})).unwrap()["zone"], "UTC");
}

#[test]
fn zones_are_converted() {
    for (input, expected) in [
        (json!({"at": "2026-07-01T12:00Z", "to": "Asia/Tokyo"}), "2026-07-01T21:00:00+09:00"),
        (
            json!({"at": "2026-07-01T12:00", "zone": "America/New_York", "to": "Europe/Berlin"}),
            "2026-07-01T18:00:00+02:00",
        ),
        (json!({"at": "2026-07-01T12:00:00+05:30", "zone": "UTC"}), "2026-07-01T06:30:00+00:00"),
        (json!({"at": "2026-07-01T12:00[Europe/Berlin]", "to": "UTC"}), "2026-07-01T10:00:00+00:00"),
        (json!({"at": "2026-07-01T12:00:00+02:00[Europe/Berlin]"}), "2026-07-01T12:00:00+02:00"),
        (json!({"at": "2026-07-01"}), "2026-07-01T00:00:00+00:00"),
        // Where the clocks are half an hour apart, and where a day was left out.
        (json!({"at": "2026-07-01T12:00Z", "to": "Australia/Lord_Howe"}), "2026-07-01T22:30:00+10:30"),
        (json!({"at": "2011-12-29T23:59:59", "zone": "Pacific/Apia", "add": "PT1S"}), "2011-12-31T00:00:00+14:00"),
    ] {
        assert_eq!(local(&input), expected, "{input}");
    }
}

#[test]
fn what_is_added_follows_calendar_and_clocks() {
    for (at, add, expected) in [
        ("2026-01-31", "P1M", "2026-02-28T00:00:00+01:00"),
        ("2028-02-29", "P1Y", "2029-02-28T00:00:00+01:00"),
        ("2026-03-28T12:00", "P1D", "2026-03-29T12:00:00+02:00"),
        ("2026-03-28T12:00", "PT24H", "2026-03-29T13:00:00+02:00"),
        ("2026-10-25T00:00", "-P1D", "2026-10-24T00:00:00+02:00"),
        ("2026-03-01", "-P1D", "2026-02-28T00:00:00+01:00"),
        ("2026-03-01", "P2W", "2026-03-15T00:00:00+01:00"),
        ("2026-03-28T02:30", "P1D", "2026-03-29T03:30:00+02:00"),
    ] {
        assert_eq!(local(&json!({"at": at, "zone": "Europe/Berlin", "add": add})), expected, "{at} {add}");
    }
}

#[test]
fn times_that_clocks_skip_or_show_twice_are_said_to_be_so() {
    let skipped = calc(&json!({"at": "2026-03-29T02:30", "zone": "Europe/Berlin"}));
    assert_eq!(
        (&skipped["peculiar"], &skipped["at"]["local"]),
        (&json!("skipped"), &json!("2026-03-29T03:30:00+02:00"))
    );
    let twice = calc(&json!({"at": "2026-10-25T02:30", "zone": "Europe/Berlin"}));
    assert_eq!((&twice["peculiar"], &twice["at"]["local"]), (&json!("twice"), &json!("2026-10-25T02:30:00+02:00")));
    assert_eq!(calc(&json!({"at": "2026-03-29T01:30"}))["peculiar"], Value::Null);
    // Such a time of a zone of its own is told in the zone that was asked for, as any other is.
    for (at, peculiar, expected) in [
        ("2026-03-29T02:30[Europe/Berlin]", "skipped", "2026-03-29T01:30:00+00:00"),
        ("2026-10-25T02:30[Europe/Berlin]", "twice", "2026-10-25T00:30:00+00:00"),
    ] {
        let told = calc(&json!({"at": at, "zone": "UTC", "add": "P0D"}));
        assert_eq!((&told["peculiar"], &told["at"]["local"]), (&json!(peculiar), &json!(expected)));
    }
}

#[test]
fn what_is_added_may_lead_to_a_time_that_clocks_skip_or_show_twice() {
    for (at, add, peculiar, expected) in [
        ("2026-03-28T02:30", "P1D", json!("skipped"), "2026-03-29T03:30:00+02:00"),
        ("2026-04-29T02:30", "-P1M", json!("skipped"), "2026-03-29T03:30:00+02:00"),
        ("2026-10-24T02:30", "P1D", json!("twice"), "2026-10-25T02:30:00+02:00"),
        ("2025-10-25T02:30", "P1Y", json!("twice"), "2026-10-25T02:30:00+02:00"),
        // Hours go by from the time that the days lead to.
        ("2026-03-28T02:30", "P1DT2H", json!("skipped"), "2026-03-29T05:30:00+02:00"),
        ("2026-10-24T02:30", "P1DT1H", json!("twice"), "2026-10-25T02:30:00+01:00"),
        // Hours alone lead to one moment.
        ("2026-03-29T01:30", "PT1H", Value::Null, "2026-03-29T03:30:00+02:00"),
        ("2026-10-25T01:30", "PT2H", Value::Null, "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T02:30+01:00", "P0D", Value::Null, "2026-10-25T02:30:00+01:00"),
        ("2026-03-28T01:30", "P1D", Value::Null, "2026-03-29T01:30:00+01:00"),
        // What was given keeps its own.
        ("2026-03-29T02:30", "P1D", json!("skipped"), "2026-03-30T03:30:00+02:00"),
        ("2025-10-26T02:30", "-P1D", json!("twice"), "2025-10-25T02:30:00+02:00"),
    ] {
        let told = calc(&json!({"at": at, "zone": "Europe/Berlin", "add": add}));
        assert_eq!((&told["peculiar"], &told["at"]["local"]), (&peculiar, &json!(expected)), "{at} {add}");
    }
}

#[test]
fn distances_are_told_by_the_calendar_and_in_seconds() {
    let until =
        |at: &str, until: &str| calc(&json!({"at": at, "zone": "Europe/Berlin", "until": until}))["until"].clone();
    let far = until("2026-01-15", "2026-12-25");
    assert_eq!((&far["duration"], &far["days"], &far["seconds"]), (&json!("P11M10D"), &json!(344), &json!(29_721_600)));
    let back = until("2026-03-01", "2026-02-27");
    assert_eq!((&back["duration"], &back["days"]), (&json!("-P2D"), &json!(-2)));
    let part = until("2026-01-01T00:00:00.9", "2026-01-01T00:00:01.1");
    assert_eq!((&part["duration"], &part["seconds"]), (&json!("PT0.2S"), &json!(0)));
    // The night in which an hour is left out.
    let short = until("2026-03-29", "2026-03-30");
    assert_eq!((&short["days"], &short["seconds"]), (&json!(1), &json!(82_800)));
}

#[test]
fn faults_name_the_value_and_the_mend() {
    for (input, why) in [
        (json!({"at": "tomorrow"}), "\"tomorrow\" is no time"),
        (json!({"at": "2026-02-30"}), "\"2026-02-30\" is no time"),
        (json!({"at": "2026-02-28T25:00"}), "is no time"),
        (json!({"at": "2026-03-01", "zone": "Europe/Atlantis"}), "there is no time zone \"Europe/Atlantis\""),
        (json!({"at": "2026-03-01[Europe/Atlantis]"}), "is no time"),
        (json!({"at": "2026-07-01T12:00:00+05:00[Europe/Berlin]"}), "is no time"),
        (json!({"at": "2026-03-01", "to": ""}), "there is no time zone \"\""),
        (json!({"at": "2026-03-01", "add": "3 days"}), "is no duration of ISO 8601"),
        (json!({"at": "2026-03-01", "add": "P99999Y"}), "P99999Y"),
        (json!({"at": "9999-12-30", "add": "P3D"}), "add \"P3D\" leads beyond the times"),
        (json!({"at": "9999-12-30", "add": "PT50H"}), "add \"PT50H\" leads beyond the times"),
        (json!({"at": "9999-12-31"}), "is beyond the times that can be calculated with, -009999-01-02T01:59:59Z to"),
        (json!({"at": "2026-03-01", "until": "9999-12-31"}), "\"9999-12-31\" is beyond the times"),
        (json!({"at": "9999-12-31T00:00Z"}), "to 9999-12-30T22:00:00Z: take one between"),
        (json!({"at": "9999-12-31T00:00+01:00[Europe/Berlin]"}), "is beyond the times"),
        (json!({"at": "9999-12-31[Europe/Berlin]"}), "is beyond the times"),
        (json!({"at": "-009999-01-01"}), "is beyond the times"),
        (json!({"at": "2026-03-01", "until": "x"}), "\"x\" is no time"),
    ] {
        let fault = ask("time/calc", &input).unwrap_err();
        assert!(fault.contains(why), "{input}: {fault}");
    }
    // Of a long text the beginning is shown.
    for input in [json!({"at": "x".repeat(10_000)}), json!({"at": "2026-03-01", "zone": "x".repeat(10_000)})] {
        let fault = ask("time/calc", &input).unwrap_err();
        assert!(fault.len() < 1_000, "{} bytes", fault.len());
    }
    assert!(invoke("time/other", "{}", || 0).unwrap_err().contains("it holds time/now and time/calc"));
}
