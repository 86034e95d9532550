//! The calculator end to end: expressions with their human form, and expressions that must fail.

use crate::{evaluate, invoke};

fn result(expression: &str) -> String {
    match evaluate(expression) {
        Ok(evaluation) => evaluation.result,
        Err(error) => format!("error {error}"),
    }
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(expression, expected)| result(expression) != *expected)
        .map(|(expression, expected)| format!("{expression}: {} (expected {expected})", result(expression)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arithmetic_is_exact() {
    check(&[
        ("1+1", "2"),
        ("0.1 + 0.2", "0.3"),
        ("1/3*3", "1"),
        ("1/3", "0.333333333333"),
        ("2/3", "0.666666666667"),
        ("2,340 * 2", "4680"),
        ("1,234,567.89 + 0.11", "1234568"),
        ("1_000 + 1", "1001"),
        ("1e3", "1000"),
        ("2.5e-3", "0.0025"),
        (".5 + .25", "0.75"),
        ("10 - 2 - 3", "5"),
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("100 / 8 / 2", "6.25"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2^3^2", "512"),
        ("2^10", "1024"),
        ("2**10", "1024"),
        ("2^-1", "0.5"),
        ("2^100", "1267650600228229401496703205376"),
        ("2^200", "1.60693804426e60"),
        ("--5", "5"),
        ("2 - -3", "5"),
        ("6 × 7 ÷ 2", "21"),
        ("3²", "9"),
        ("9^0.5", "3"),
        ("0^0", "1"),
        ("0.1^3", "0.001"),
        ("99999999999999999999 + 1", "100000000000000000000"),
        ("1e-7", "0.0000001"),
        ("-0", "0"),
        ("0 * -5", "0"),
        ("1000000 * 1000000 * 1000000", "1000000000000000000"),
    ]);
}

#[test]
fn percentages() {
    check(&[
        ("17.5% of 2,340", "409.5"),
        ("17.5%", "0.175"),
        ("200 + 10%", "220"),
        ("200 - 10%", "180"),
        ("200 * 10%", "20"),
        ("10% + 5%", "0.15"),
        ("5 % 3", "2"),
        ("-5 % 3", "1"),
        ("5.5 mod 2", "1.5"),
        ("17 mod (2+3)", "2"),
        ("10% - 3", "-2.9"),
        ("10 % - 3", "-2.9"),
        ("10% -3", "-2.9"),
        ("7 mod -3", "-2"),
        ("20% of 3 km", "0.6 km"),
        ("100 km + 15%", "115 km"),
        ("50% of 50% of 200", "50"),
        ("17.5 percent of 2340", "409.5"),
        ("1/8 in %", "12.5%"),
        ("What is 17.5% of 2,340?", "409.5"),
        ("19.99 * 3 + 8.25%", "64.917525"),
    ]);
}

#[test]
fn functions_and_constants() {
    check(&[
        ("sqrt(16)", "4"),
        ("sqrt(2)", "1.41421356237"),
        ("sqrt(2,304)", "48"),
        ("sqrt(9 m^2)", "3 m"),
        ("abs(-3.5)", "3.5"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(3.14159, 2)", "3.14"),
        ("round(1234, -2)", "1200"),
        ("floor(-1.5)", "-2"),
        ("ceil(1.2)", "2"),
        ("min(3, 1, 2)", "1"),
        ("max(2,340)", "340"),
        ("max(2,340; 3)", "2340"),
        ("max(1 km, 900 m)", "1 km"),
        ("ln(e)", "1"),
        ("log10(1000)", "3"),
        ("exp(0)", "1"),
        ("sin(30°)", "0.5"),
        ("sin(pi)", "0"),
        ("cos(60 deg)", "0.5"),
        ("tan(45°)", "1"),
        ("pow(2, 8)", "256"),
        ("2 pi", "6.28318530718"),
        ("Sqrt(4) + MAX(1, 2)", "4"),
        ("max(min(5, 3), (2,000))", "2000"),
    ]);
}

#[test]
fn units() {
    check(&[
        ("5 miles in km", "8.0467 km"),
        ("5 km in miles", "3.1069 mi"),
        ("convert 5 km to miles", "3.1069 mi"),
        ("3 km + 200 m", "3.2 km"),
        ("60 km/h * 90 min", "90 km"),
        ("100 km / 2 h", "50 km/h"),
        ("100 km/h in mph", "62.1371 mph"),
        ("30 mph * 2 h", "60 mi"),
        ("72 °F to C", "22.2222 °C"),
        ("72 ° F to °C", "22.2222 °C"),
        ("98.6 F in C", "37 °C"),
        ("-40 °C to °F", "-40 °F"),
        ("0 K to C", "-273.15 °C"),
        ("100 C to K", "373.15 K"),
        ("20 °C + 5 °C", "25 °C"),
        ("6 ft 2 in to cm", "187.96 cm"),
        ("12 in to cm", "30.48 cm"),
        ("6 in * 4 in", "24 in^2"),
        ("1 GiB to MB", "1073.7418 MB"),
        ("1 MiB in KiB", "1024 KiB"),
        ("1 MB in bytes", "1000000 B"),
        ("100 Mbit/s * 1 min in MB", "750 MB"),
        ("1 acre to m^2", "4046.8564 m^2"),
        ("1 ha in m2", "10000 m^2"),
        ("2 L + 250 ml", "2.25 L"),
        ("3 m * 200 cm", "6 m^2"),
        ("1 kWh to J", "3600000 J"),
        ("1 atm in bar", "1.0133 bar"),
        ("-1 atm in bar", "-1.0133 bar"),
        ("2 kW * 3 h", "6 kWh"),
        ("5 N * 2 m", "10 J"),
        ("1 hp to W", "745.6999 W"),
        ("32 psi to bar", "2.2063 bar"),
        ("1 atm in kPa", "101.325 kPa"),
        ("180° to rad", "3.1416 rad"),
        ("1 turn in degrees", "360°"),
        ("10 m / 2 m", "5"),
        ("90 min to h", "1.5 h"),
        ("1 h 30 min to min", "90 min"),
        ("5 kg in lbs", "11.0231 lb"),
        ("10 KM to m", "10000 m"),
        ("1 square mile to km^2", "2.59 km^2"),
        ("5 kg/m^3 * 2 m^3", "10 kg"),
        ("1 µs to ns", "1000 ns"),
        ("1/(4 s) to Hz", "0.25 Hz"),
        ("60 miles per hour to km/h", "96.5606 km/h"),
        ("1 inch in km", "0.0000254 km"),
        ("how many miles are there in 5 km?", "3.1069 mi"),
        ("72 degrees Fahrenheit to degrees Celsius", "22.2222 °C"),
        ("100 Mbps * 1 min in MB", "750 MB"),
        ("10 knots in km/h", "18.52 km/h"),
        ("(5 km in m) + 3 m", "5003 m"),
        ("-5 km to m", "-5000 m"),
    ]);
}

#[test]
fn errors_name_the_place_and_the_reason() {
    let deep = format!("{}1{}", "(".repeat(65), ")".repeat(65));
    let powers = vec!["2"; 80].join("^");
    let long = "1+".repeat(3000);
    for (expression, part) in [
        ("", "at character 1: expected a number"),
        ("2 +", "at character 4: expected a number"),
        ("2 + * 3", "at character 5: expected a number"),
        ("(1 + 2", "expected `)`, found the end"),
        ("1 + 2)", "expected an operator or the end, found `)`"),
        ("1 / 0", "at character 3: division by zero"),
        ("5 % (3-3)", "division by zero"),
        ("0^-1", "division by zero"),
        ("10 ^ 1000", "too large"),
        ("1000000007^5 mod 13", "cannot be known"),
        ("99999999999999999999^2 mod 7", "cannot be known"),
        ("2^130 % 7", "cannot be known"),
        ("10^39 % 7", "cannot be known"),
        ("2^127 - (2^127-1)", "cannot be known"),
        ("1e40 + 1 - 1e40", "cannot be known"),
        ("exp(10000)", "too large"),
        ("1e400", "too large or too small"),
        ("1e-400", "too large or too small"),
        ("sqrt(-1)", "not a real number"),
        ("(-8)^(1/3)", "not a real number"),
        ("ln(0)", "above zero"),
        ("tan(90°)", "undefined"),
        ("3 km + 2 s", "at character 6: cannot add a time (s) to a length (km)"),
        ("3 km - 2", "cannot subtract a plain number from a length"),
        ("5 km to kg", "a length (km) is not a mass"),
        ("5 to km", "no unit to convert"),
        ("2 ^ (3 m)", "exponent"),
        ("2 $ 3", "unexpected character `$`"),
        ("1,23", "three digits"),
        ("2 3", "expected an operator"),
        ("2(3+4)", "expected an operator"),
        ("max(1,200, 3)", "write `;`"),
        ("foo(2)", "there is no function `foo`: there are sqrt, abs, round, "),
        ("2 * avg(1, 2)", "at character 5: there is no function `avg`"),
        ("7 % -3", "write `7% - 3` or `7 mod -3`"),
        ("7 % -(1 + 2)", "write `7% - 3` or `7 mod -3`"),
        ("5 gb", "may be"),
        ("12 in cm", "inch"),
        ("sin 3", "expected `(`"),
        ("pow(2)", "takes 2"),
        ("sin(3 km)", "angle"),
        ("20 °C * 3 m", "convert the temperature"),
        ("5 m%", "percent"),
        ("import os", "found `import`"),
        (deep.as_str(), "nested deeper than 64"),
        (powers.as_str(), "nested deeper than 64"),
        (long.as_str(), "at most 4096"),
    ] {
        let found = result(expression);
        assert!(found.starts_with("error") && found.contains(part), "{expression:.40}: {found}");
    }
}

#[test]
fn the_json_border() {
    let output = invoke("calc/evaluate", r#"{"expression":" 5 miles in km "}"#);
    let expected = r#"{"expression":"5 miles in km","result":"8.0467 km","unit":"km","value":8.04672}"#;
    assert_eq!(output.as_deref(), Ok(expected));
    let output = invoke("calc/evaluate", r#"{"expression":"17.5% of 2,340"}"#);
    let expected = r#"{"expression":"17.5% of 2,340","result":"409.5","unit":null,"value":409.5}"#;
    assert_eq!(output.as_deref(), Ok(expected));
    assert!(invoke("calc/evaluate", "{}").is_err());
    assert!(invoke("calc/other", "{}").unwrap_err().contains("calc/evaluate"));
    assert!(invoke("calc/evaluate", r#"{"expression":"1","more":2}"#).is_err());
}

#[test]
fn no_input_makes_it_panic() {
    let pieces =
        ["1", "2,340", "%", "(", ")", "km", "in", "to", "-", "^", "max(", ",", ";", "°", "F", "e9", "of", "1e99", " "];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut expression = String::new();
        for _ in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            expression.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let _ = evaluate(&expression);
    }
}
