//! Questions and what they are answered with.

use serde_json::{Value, json};

use crate::invoke;

const ORDERS: &str = "city,amount,paid,placed\nVelmora,0.1,true,2026-03-01\nTessaly,12.50,false,2026-01-15\n\
                      Velmora,0.2,true,2026-02-01\n\"Port, old\",,false,2026-02-02\n";

fn ask(mut question: Value) -> Result<Value, String> {
    if question.get("text").is_none() {
        question["text"] = ORDERS.into();
        question["format"] = "csv".into();
    }
    invoke("data/query", &question.to_string()).map(|answer| serde_json::from_str(&answer).unwrap())
}

fn rows(question: Value) -> Value {
    ask(question).unwrap()["rows"].clone()
}

#[test]
fn rows_are_kept_by_conditions_whose_value_says_how_they_compare() {
    for (condition, cities) in [
        (json!({"column": "amount", "is": ">", "value": 0.15}), json!([["Tessaly"], ["Velmora"]])),
        (json!({"column": "amount", "is": "=", "value": 12.5}), json!([["Tessaly"]])),
        // A text is compared as a text.
        (json!({"column": "amount", "is": "=", "value": "12.5"}), json!([])),
        (json!({"column": "placed", "is": "<=", "value": "2026-02-01"}), json!([["Tessaly"], ["Velmora"]])),
        (json!({"column": "city", "is": "contains", "value": "old"}), json!([["Port, old"]])),
        (json!({"column": "amount", "is": "empty"}), json!([["Port, old"]])),
        (json!({"column": "paid", "is": "=", "value": false}), json!([["Tessaly"], ["Port, old"]])),
        (json!({"column": "city", "is": "!=", "value": "Velmora"}), json!([["Tessaly"], ["Port, old"]])),
    ] {
        let asked = json!({"select": ["city"], "where": [condition.clone()]});
        assert_eq!(rows(asked), cities, "{condition}");
    }
    let flags = |is: &str| {
        rows(json!({
            "text": "a\nTRUE\nTrue\nfalse\ntruely\n", "format": "csv", "where": [{"column": "a", "is": is, "value": true}]
        }))
    };
    assert_eq!((flags("="), flags("!=")), (json!([["TRUE"], ["True"]]), json!([["false"], ["truely"]])));
}

#[test]
fn figures_are_exact() {
    let asked = json!({
        "group": ["city"],
        "aggregate": [{"of": "sum", "column": "amount"}, {"of": "count", "as": "orders"}, {"of": "max", "column": "placed"}],
        "order": [{"column": "orders", "descending": true}, {"column": "city"}]
    });
    let answer = ask(asked).unwrap();
    assert_eq!(answer["columns"], json!(["city", "sum(amount)", "orders", "max(placed)"]));
    assert_eq!(
        answer["rows"],
        json!([
            ["Velmora", "0.3", 2, "2026-03-01"],
            ["Port, old", 0, 1, "2026-02-02"],
            ["Tessaly", "12.5", 1, "2026-01-15"]
        ])
    );
    let thirds = json!({"text": "a\n1\n1\n0\n", "format": "csv", "aggregate": [{"of": "mean", "column": "a"}]});
    assert_eq!(rows(thirds), json!([["0.6666666666666666666666666667"]]));
    let large = json!({
        "text": r#"[{"a": 90071992547409931234567890.01}, {"a": 0.02}, {"a": null}]"#, "format": "json",
        "aggregate": [{"of": "sum", "column": "a"}, {"of": "count", "column": "a"}, {"of": "min", "column": "a"}]
    });
    assert_eq!(rows(large), json!([["90071992547409931234567890.03", 2, "0.02"]]));
    let none = json!({"where": [{"column": "city", "is": "=", "value": "x"}], "aggregate": [{"of": "count"}, {"of": "mean", "column": "amount"}]});
    assert_eq!(rows(none), json!([[0, null]]));
}

#[test]
fn the_least_and_the_greatest_are_of_one_kind_whatever_the_order_of_rows() {
    let asked = |values: &[&str]| {
        let objects: Vec<String> = values.iter().map(|value| format!("{{\"v\": {value}}}")).collect();
        ask(json!({
            "text": objects.join("\n"), "format": "jsonl",
            "aggregate": [{"of": "min", "column": "v"}, {"of": "max", "column": "v"}]
        }))
    };
    for (values, least, greatest) in [
        (["10", "9", "null"], json!(9), json!(10)),
        (["\"10\"", "\"9\"", "null"], json!("9"), json!("10")),
        (["\"b\"", "\"\"", "\"a\""], json!(""), json!("b")),
        (["true", "null", "false"], json!(false), json!(true)),
        // Equal numbers, written differently.
        (["\"1.0\"", "1", "\"1\""], json!(1), json!("1.0")),
        (["null", "null", "null"], Value::Null, Value::Null),
    ] {
        for turn in 0..3 {
            let mut values = values;
            values.rotate_left(turn);
            assert_eq!(asked(&values).unwrap()["rows"], json!([[least, greatest]]), "{values:?}");
        }
    }
    let fault = asked(&["12.50", "null", "\"n/a\""]).unwrap_err();
    let why = "min(v): row 1 has 12.5, a number, and row 3 has \"n/a\", a text: leave rows of one kind out with where";
    assert_eq!(fault, why);
    for mixed in [
        ["\"n/a\"", "3", "4"],
        ["3", "\"n/a\"", "4"],
        ["3", "4", "\"\""],
        ["true", "\"true\"", "null"],
        ["0", "false", "null"],
    ] {
        assert!(asked(&mixed).unwrap_err().contains("leave rows of one kind out"), "{mixed:?}");
    }
    let numbers = json!({
        "text": "v\nn/a\n12.50\n\n7\n", "format": "csv", "where": [{"column": "v", "is": "!=", "value": "n/a"}],
        "aggregate": [{"of": "min", "column": "v"}, {"of": "max", "column": "v"}]
    });
    assert_eq!(rows(numbers), json!([["7", "12.50"]]));
}

#[test]
fn lines_and_arrays_of_json_are_tables_too() {
    let text = "{\"a\": 1, \"b\": \"x\"}\n\n{\"b\": [1], \"c\": true}\n";
    let answer = ask(json!({"text": text, "format": "jsonl"})).unwrap();
    assert_eq!(answer["columns"], json!(["a", "b", "c"]));
    assert_eq!(answer["rows"], json!([[1, "x", null], [null, "[1]", true]]));
    let mixed = r#"[{"v": "b"}, {"v": 10}, {"v": 9}, {"v": null}, {"v": true}, {"v": "a"}, {"v": "9.5"}]"#;
    let ordered = json!({"text": mixed, "format": "json", "order": [{"column": "v"}]});
    assert_eq!(rows(ordered), json!([[null], [true], [9], ["9.5"], [10], ["a"], ["b"]]));
    let semicolons = json!({"text": "\u{feff}a;b\n1;2\n", "format": "csv", "delimiter": ";"});
    assert_eq!(rows(semicolons), json!([["1", "2"]]));
}

#[test]
fn a_column_without_a_name_is_named_by_its_place() {
    for (text, columns) in [
        ("a,,c\n1,2,3\n", json!(["a", "column_2", "c"])),
        (",b, ,\n1,2,3,4\n", json!(["column_1", "b", "column_3", "column_4"])),
        ("column_2,\n1,2\n", json!(["column_2", "column_2_"])),
        (",column_1_,column_1\n1,2,3\n", json!(["column_1__", "column_1_", "column_1"])),
    ] {
        assert_eq!(ask(json!({"text": text, "format": "csv"})).unwrap()["columns"], columns, "{text:?}");
    }
    let exported = json!({
        "text": "city,amount,\nVelmora,1,x\nTessaly,2,\n", "format": "csv", "select": ["city"],
        "where": [{"column": "column_3", "is": "empty"}]
    });
    assert_eq!(rows(exported), json!([["Tessaly"]]));
}

#[test]
fn answers_have_bounds_and_say_so() {
    let text = format!("a\n{}", "1\n".repeat(1_000));
    let answer = ask(json!({"text": text, "format": "csv", "limit": 3})).unwrap();
    assert_eq!((&answer["row_count"], &answer["matched"], &answer["read"]), (&json!(3), &json!(1_000), &json!(1_000)));
    assert_eq!(answer["truncated"], true);
    let wide = format!("a\n{}", format!("{}\n", "x".repeat(1_000)).repeat(2_000));
    let answer = ask(json!({"text": wide, "format": "csv", "limit": 10_000})).unwrap();
    assert!(answer["truncated"] == true && answer.to_string().len() < (600 << 10));
    let columns = |count: usize| (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>().join(",");
    let many = format!("{}\n{}", columns(500), format!("x{}\n", ",x".repeat(499)).repeat(200));
    let answer = ask(json!({"text": many, "format": "csv", "limit": 10_000})).unwrap();
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(100), &json!(true)));
    assert!(ask(json!({"text": columns(1_000), "format": "csv"})).is_ok());
    for beyond in [columns(1_001), ",".repeat(1_000), ",".repeat(4 << 20)] {
        let fault = ask(json!({"text": beyond, "format": "csv"})).unwrap_err();
        assert!(fault.contains("more than 1000 columns"), "{fault}");
    }
}

#[test]
fn faults_name_the_place_and_the_mend() {
    for (question, why) in [
        (json!({"select": ["town"]}), "no column \"town\": there are \"city\", \"amount\", \"paid\", \"placed\""),
        (json!({"text": "a, b\n1,2\n", "format": "csv", "select": ["b"]}), "there are \"a\", \" b\""),
        (json!({"aggregate": [{"of": "sum", "column": "city"}]}), "row 1 has \"Velmora\", which is no number"),
        (json!({"aggregate": [{"of": "mean"}]}), "name a column"),
        (json!({"where": [{"column": "city", "is": "="}]}), "give a value"),
        (json!({"where": [{"column": "city", "is": "~", "value": "x"}]}), "unknown variant"),
        (json!({"group": ["city"], "aggregate": [{"of": "count", "as": "city"}]}), "two columns of the answer"),
        (json!({"text": "a,b\n1\n", "format": "csv"}), "row 1, in line 2, has 1 fields, and the header 2: quote"),
        (
            json!({"text": "a,b\n\"x\n\",1\n1,000,2\n", "format": "csv"}),
            "row 2, in line 4, has 3 fields, and the header 2",
        ),
        (json!({"text": "id,note\n1,ok\n2,\"broken\n3,ok\n", "format": "csv"}), "opens in line 3 is never closed"),
        (json!({"text": "a,b\n\"x\"\"\",\"y\n1,2\n", "format": "csv"}), "opens in line 2 is never closed"),
        (json!({"text": "a,a\n1,2\n", "format": "csv"}), "columns 1 and 2 are both named \"a\""),
        (json!({"text": "a,b,c,b\n", "format": "csv"}), "columns 2 and 4 are both named \"b\""),
        (json!({"text": "{\"a\": 1}\n[1]\n", "format": "jsonl"}), "line 2 is no JSON object"),
        (json!({"text": "{}", "format": "json"}), "no JSON array of objects"),
        (json!({"text": "a\n1\n", "format": "csv", "delimiter": "ä"}), "not one ASCII character"),
    ] {
        let fault = ask(question.clone()).unwrap_err();
        assert!(fault.contains(why), "{question}: {fault}");
    }
    assert!(invoke("data/other", "{}").unwrap_err().contains("it holds data/query"));
}

#[test]
fn what_only_looks_like_a_number_does_no_harm() {
    // What a reader of JSON would round is a text; and so is a number of more digits than any is.
    for (largest, shown) in
        [("9007199254740991", json!(9_007_199_254_740_991_i64)), ("9007199254740992", json!("9007199254740992"))]
    {
        let sum =
            json!({"text": format!("a\n{largest}\n"), "format": "csv", "aggregate": [{"of": "sum", "column": "a"}]});
        assert_eq!(rows(sum), json!([[shown]]));
    }
    for (digits, sound) in [(400, true), (401, false)] {
        let sum = json!({"text": format!("a\n{}\n", "9".repeat(digits)), "format": "csv", "aggregate": [{"of": "sum", "column": "a"}]});
        assert_eq!(ask(sum).is_ok(), sound, "{digits}");
    }
    let points = json!({"text": "p\n.5\n-.25\n2.\n", "format": "csv", "aggregate": [{"of": "sum", "column": "p"}]});
    assert_eq!(rows(points), json!([["2.25"]]));
    // A quote within a field, or two within a quoted one, opens nothing.
    let quoted = json!({"text": "a,b\n5\" disk,\"\"\"x\"\"\"\n", "format": "csv", "select": ["a", "b"]});
    assert_eq!(rows(quoted), json!([["5\" disk", "\"x\""]]));
    // A number that would fill the memory once it is added up is a text.
    let bomb = json!({"text": "a\n1e999999999\n1\n", "format": "csv", "aggregate": [{"of": "sum", "column": "a"}]});
    assert!(ask(bomb).unwrap_err().contains("no number"));
    for text in ["1,000", "€5", "0x10", "NaN", "inf", "--1", ".", "1e", "1e4000"] {
        let asked = json!({"text": format!("a\n\"{text}\"\n"), "format": "csv", "where": [{"column": "a", "is": ">", "value": -1}]});
        assert_eq!(rows(asked), json!([]), "{text}");
    }
}
