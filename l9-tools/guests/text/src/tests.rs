//! The three tools end to end, as their callers see them.

use crate::compare::{WORK, compare};
use crate::snake::Work;
use crate::{Passage, Quote, diff, extract, invoke, split};

fn passage(text: &str) -> Passage {
    Passage { source: "doc.md".to_owned(), position: "1".to_owned(), text: text.to_owned() }
}

fn best(query: &str, text: &str) -> String {
    extract(query, &[passage(text)], 3).into_iter().next().map(|quote| quote.quote).unwrap_or_default()
}

const DOCS: &str = "# Runs\n\nA run is a sequence of steps. L9 writes every step to the journal before it acts.\n\n\
    ## Resuming after a crash\n\nWhen a worker dies, its lease expires and another worker takes the run over. \
    L9 resumes a run by replaying its journal up to the last checkpoint, e.g. step 41, and continues from there. \
    No step is executed twice.\n\n## Limits\n\n- A run may take at most 500 steps.\n- Each step has a timeout of 30 s.\n\n\
    | setting | default |\n|---|---|\n| `lease_seconds` | 15 |\n| `max_parallel` | 8 |\n\n\
    ```sh\nl9 run resume RUN\n```\n\n## Billing\n\nCrash reports are free of charge. How does billing work? It is monthly.\n";

#[test]
fn documentation_answers_questions() {
    let answer = best("How does L9 resume a run after a crash?", DOCS);
    assert!(answer.starts_with("L9 resumes a run by replaying"), "{answer}");
    for (question, start) in [
        ("What is a run?", "A run is a sequence"),
        ("How many steps may a run take?", "A run may take at most 500 steps."),
        ("What is the default of lease_seconds?", "`lease_seconds` | 15"),
        ("How long is the timeout of a step?", "Each step has a timeout of 30 s."),
        ("What happens when a worker dies?", "When a worker dies"),
        ("Is a step executed twice?", "No step is executed twice."),
        ("How does billing work?", "It is monthly."),
    ] {
        let answer = best(question, DOCS);
        assert!(answer.starts_with(start), "{question}: {answer}");
    }
}

#[test]
fn an_echo_of_the_question_is_no_answer() {
    let text = "Try `l9 run researcher \"How does L9 resume a run after a crash?\"` first. \
        After a crash, a run resumes from its journal.\n\nThe lease is taken over. A lease is a right that expires.";
    assert_eq!(best("How does L9 resume a run after a crash?", text), "After a crash, a run resumes from its journal.");
    assert_eq!(best("What is a lease?", text), "A lease is a right that expires.");
}

#[test]
fn a_heading_is_quoted_only_when_there_is_nothing_else() {
    let quotes = extract("resuming after a crash", &[passage(DOCS)], 10);
    assert!(quotes.iter().all(|quote| quote.quote != "Resuming after a crash"), "{quotes:?}");
    assert_eq!(best("crash recovery", "# Crash recovery\n\n## Other"), "Crash recovery");
}

/// Thousands of sentences that share most words with the question, and one that answers.
fn warehouse_documents() -> Vec<Passage> {
    let names = ["Morvik", "Talvik", "Zorvan", "Korvik", "Belmar", "Zorlik", "Arvik", "Dorvan"];
    let goods = ["crates", "barrels", "pallets", "drums"];
    let mut text = String::new();
    let mut passages = Vec::new();
    for number in 0..4000_usize {
        let name = names[number % names.len()];
        let good = goods[(number / 7) % goods.len()];
        text.push_str(&match number % 5 {
            0 => format!("The {name} warehouse stores {} {good} of type {number}. ", 100 + number),
            1 => format!("In {} the {name} warehouse was moved to Harbour {number}. ", 1900 + number % 100),
            2 => format!("Mrs. Olsen {number} manages the {name} depot, which stores {} {good}. ", number + 3),
            3 => format!("How many {good} the {name} warehouse stores depends on season {number}. "),
            _ => format!("The {name} depot ships {} {good} a week. ", number % 90),
        });
        match number {
            1200 => text.push_str("The Zorvik depot ships 77 crates a week. "),
            1900 => text.push_str("The Zorvik warehouse was painted in 1987 by Ada Lund. "),
            2222 => text.push_str("The Zorvik warehouse stores 4,120 crates of dried fish. "),
            2700 => text.push_str("The Zorvik warehouse stores grain as well. "),
            3100 => text.push_str("Nobody knows how many barrels the Zorvik warehouse stores. "),
            _ => {}
        }
        if number % 40 == 39 {
            passages.push(passage(&std::mem::take(&mut text)));
            text.push_str("## More\n\n");
        }
    }
    passages
}

#[test]
fn a_fact_is_found_among_distractors() {
    let passages = warehouse_documents();
    for (question, answer) in [
        ("How many crates does the Zorvik warehouse store?", "The Zorvik warehouse stores 4,120 crates of dried fish."),
        (
            "How many crates are held in the Zorvik warehouse?",
            "The Zorvik warehouse stores 4,120 crates of dried fish.",
        ),
        ("how many crates does zorvik store", "The Zorvik warehouse stores 4,120 crates of dried fish."),
        ("Who painted the Zorvik warehouse?", "The Zorvik warehouse was painted in 1987 by Ada Lund."),
        ("When was the Zorvik warehouse painted?", "The Zorvik warehouse was painted in 1987 by Ada Lund."),
        ("How many crates does the Zorvik depot ship?", "The Zorvik depot ships 77 crates a week."),
    ] {
        let quotes = extract(question, &passages, 3);
        assert_eq!(quotes.first().map(|quote| quote.quote.as_str()), Some(answer), "{question}: {quotes:?}");
        assert!(quotes[0].score > 0.6, "{question}: {}", quotes[0].score);
    }
}

#[test]
fn what_is_not_there_scores_low_or_not_at_all() {
    let passages = warehouse_documents();
    let quotes = extract("How many crates does the Quuxby warehouse store?", &passages, 3);
    assert!(quotes.iter().all(|quote| quote.score < 0.3), "{quotes:?}");
    assert!(extract("photosynthesis of orchids", &passages, 3).is_empty());
    assert!(extract("", &passages, 3).is_empty());
    assert!(extract("Zorvik", &[], 3).is_empty());
    assert!(extract("Zorvik", &passages, 0).is_empty());
}

#[test]
fn a_pronoun_takes_its_meaning_from_the_sentence_before() {
    let text = "The Morvik warehouse lies in Oslo. It stores 80 crates.\n\nThe Zorvik warehouse lies in Bergen. \
        It stores 4,120 crates.\n\nThe Zorvik warehouse ships 30 pallets a day.";
    assert_eq!(best("How many crates does the Zorvik warehouse store?", text), "It stores 4,120 crates.");
    assert_eq!(best("Where is the Zorvik warehouse?", text), "The Zorvik warehouse lies in Bergen.");
}

#[test]
fn every_quote_is_a_substring_of_its_passage() {
    let pieces = [
        "# Head `x`\n",
        "\n",
        "- item **bold** crash. ",
        "* [ ] task crash\n",
        "> quote “crash”…\n",
        "```\ncrash code\n",
        "| crash | b |\n",
        "|--|--|\n",
        "\r\n",
        "Crash! ",
        "Größe 仓库。crash。",
        "1. one crash e.g. two\n",
        "   ",
        "--- \n",
        "é\u{301} crash ",
        "\u{feff}",
        "~~~\n",
        "===\n",
        "<b>crash</b>\n",
        ":",
        "?",
        "\t",
    ];
    let mut state = 11_u64;
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..14 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        for Quote { quote, score, .. } in extract("What did the crash code item do?", &[passage(&text)], 9) {
            assert!(text.contains(&quote) && !quote.is_empty() && quote.trim() == quote, "{quote:?} in {text:?}");
            assert!((0.0..=1.0).contains(&score));
        }
        for max in [1, 7, 40] {
            let parts = split(&text, max);
            assert!(
                parts.iter().all(|part| &text[part.start..part.end] == part.text && part.text.chars().count() <= max)
            );
            let kept: String = parts.iter().map(|part| part.text).collect();
            let plain = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(plain(&kept), plain(&text));
        }
    }
}

#[test]
fn parts_end_where_a_reader_would_pause() {
    let text =
        "# Title\n\nFirst paragraph. It has two sentences.\n\nSecond paragraph is here.\n\n## Next\n\nThird one.";
    let parts: Vec<&str> = split(text, 60).into_iter().map(|part| part.text).collect();
    assert_eq!(
        parts,
        ["# Title\n\nFirst paragraph. It has two sentences.", "Second paragraph is here.\n\n## Next\n\nThird one."]
    );
    let parts: Vec<&str> = split("One two three. Four five six.", 16).into_iter().map(|part| part.text).collect();
    assert_eq!(parts, ["One two three.", "Four five six."]);
    let parts: Vec<&str> = split("ééééé ééé", 2).into_iter().map(|part| part.text).collect();
    assert_eq!(parts, ["éé", "éé", "é", "éé", "é"]);
    assert!(split(" \n", 5).is_empty());
}

#[test]
fn differences_are_counted_and_shown() {
    let found = diff("a\nb\nc\nd\ne\n", "a\nb\nX\nd\ne\nf", 1);
    let unified = "--- before\n+++ after\n@@ -2,4 +2,5 @@\n b\n-c\n+X\n d\n e\n+f\n\\ No newline at end of file\n";
    assert_eq!((found.added, found.removed, found.unified.as_str()), (2, 1, unified));
    let same = diff("a\n", "a\n", 3);
    assert_eq!((same.added, same.removed, same.unified.as_str()), (0, 0, ""));
    assert_eq!(diff("", "x\n", 3).added, 1);
    let returned = diff("10%\r20%\nend\n", "10%\r25%\nend\n", 3).unified;
    assert!(returned.ends_with("@@ -1,2 +1,2 @@\n-10%\r20%\n+10%\r25%\n end\n"), "{returned:?}");
}

/// What a unified diff makes of a text, as `patch` does.
fn patched(before: &str, unified: &str) -> String {
    let before: Vec<&str> = before.split_inclusive('\n').collect();
    let (mut at, mut made, mut kept) = (0, Vec::<&str>::new(), false);
    for line in unified.split_inclusive('\n').skip(2) {
        if let Some(header) = line.strip_prefix("@@ -") {
            let (own, its) = header.trim_end_matches(" @@\n").split_once(" +").unwrap();
            let start = |place: &str| {
                let (first, count) = place.split_once(',').unwrap_or((place, "1"));
                first.parse::<usize>().unwrap() - usize::from(count != "0")
            };
            made.extend(&before[at..start(own)]);
            at = start(own);
            assert_eq!(made.len(), start(its), "{unified}");
            continue;
        }
        let (sign, text) = line.split_at(1);
        if sign == "\\" {
            if let Some(last) = made.last_mut().filter(|_| kept) {
                *last = last.trim_end_matches('\n');
            }
            continue;
        }
        if sign != "+" {
            assert_eq!(before[at].trim_end_matches('\n'), text.trim_end_matches('\n'), "{unified}");
            at += 1;
        }
        kept = sign != "-";
        made.extend(kept.then_some(text));
    }
    made.extend(&before[at..]);
    made.concat()
}

/// The fewest lines by which two texts differ.
fn fewest(before: &[&str], after: &[&str]) -> usize {
    let mut row: Vec<usize> = (0..=after.len()).collect();
    for (at, own) in before.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, its) in after.iter().enumerate() {
            let least = if own == its { diagonal } else { 1 + row[to].min(row[to + 1]) };
            diagonal = std::mem::replace(&mut row[to + 1], least);
        }
    }
    row[after.len()]
}

#[test]
fn few_differences_are_as_few_as_can_be() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..3_000 {
        let kinds = 1 + random(6);
        let mut text = |lines: usize| {
            let mut text: String = (0..random(lines)).map(|_| format!("{}\n", random(kinds))).collect();
            if random(4) == 0 {
                text.push('x');
            }
            text
        };
        let (before, after) = (text(30), text(30));
        let (own, its): (Vec<_>, Vec<_>) =
            (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
        for context in [0, 1, 3, 1_000] {
            let found = diff(&before, &after, context);
            assert_eq!(found.added + found.removed, fewest(&own, &its), "{before:?} {after:?}");
            assert_eq!(patched(&before, &found.unified), after, "{before:?}: {}", found.unified);
        }
    }
}

/// The work of a comparison, and how many lines are added and removed.
fn compared(before: &str, after: &str) -> (usize, usize, usize) {
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let mut work = Work { left: WORK };
    let found = compare(&lines(before), &lines(after), &mut work);
    let count = |lines: &[bool]| lines.iter().filter(|changed| **changed).count();
    (WORK - work.left, count(&found.added), count(&found.removed))
}

fn numbers(word: &str, count: usize, nth: impl Fn(usize) -> usize) -> String {
    (0..count).map(|at| format!("{word} {}\n", nth(at))).collect()
}

/// A size, ten and a hundred times as much.
const SIZES: [usize; 3] = [2_000, 20_000, 200_000];

#[test]
fn many_differences_cost_what_their_lines_cost() {
    for count in SIZES {
        let (one, two) = (numbers("one", count, |at| at), numbers("two", count, |at| at));
        let half = numbers("one", count, |at| if at % 2 == 0 { at } else { at + count });
        let spaced = |text: &str| text.replace('\n', "\n\n");
        // Nothing in common, nothing but empty lines, and every second line.
        for (before, after, changed) in
            [(&one, &two, count), (&spaced(&one), &spaced(&two), count), (&one, &half, count / 2)]
        {
            let (work, added, removed) = compared(before, after);
            assert_eq!((added, removed), (changed, changed));
            assert!(work <= count, "{count} lines: {work}");
        }
        // A large part that is elsewhere is moved.
        let moved = numbers("one", count, |at| (at + count / 4) % count);
        let (work, added, removed) = compared(&one, &moved);
        assert_eq!((added, removed), (count / 4, count / 4));
        assert!(work <= 2 * count + 3_000_000, "{count} lines: {work}");
    }
}

#[test]
fn what_has_nothing_to_hold_on_to_ends_within_the_work_there_is() {
    let scattered = |at: usize| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    for count in SIZES {
        let few = |from: usize| numbers("few", count, move |at| scattered(at + from) % 2);
        let ordered = numbers("one", count, |at| at);
        let backward = numbers("one", count, |at| count - at);
        let shuffled = numbers("one", count, |at| (at * 7_919) % count);
        for (before, after) in [(&few(0), &few(count)), (&ordered, &backward), (&ordered, &shuffled)] {
            let (work, added, removed) = compared(before, after);
            assert!(added == removed && added <= count && work <= WORK, "{count} lines: {work}, {added}");
        }
    }
    // Used up, what is left differs as a whole.
    let found = compare(&["a\n", "b\n", "c\n", "d\n"], &["a\n", "c\n", "b\n", "d\n"], &mut Work { left: 0 });
    assert_eq!((found.removed, found.added), (vec![false, true, true, false], vec![false, true, true, false]));
}

#[test]
fn the_json_border() {
    let input = r#"{"passages":[{"position":"1","source":"a.md","text":"- Zorvik has 3 docks."}],"query":"How many docks has Zorvik?"}"#;
    let output = invoke("text/extract", input).unwrap();
    assert!(output.starts_with(r#"{"quotes":[{"position":"1","quote":"Zorvik has 3 docks.","score":"#), "{output}");
    assert_eq!(
        invoke("text/split", r#"{"max_chars":3,"text":"ab cd"}"#).as_deref(),
        Ok(r#"{"parts":[{"end":2,"start":0,"text":"ab"},{"end":5,"start":3,"text":"cd"}]}"#)
    );
    let output = invoke("text/diff", r#"{"after":"b\n","before":"a\n"}"#).unwrap();
    assert_eq!(output, r#"{"added":1,"removed":1,"unified":"--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b\n"}"#);
    assert!(invoke("text/split", r#"{"max_chars":0,"text":"ab"}"#).is_err());
    assert!(invoke("text/none", "{}").unwrap_err().contains("text/extract"));
    assert!(invoke("text/extract", r#"{"query":"a"}"#).is_err());
}
