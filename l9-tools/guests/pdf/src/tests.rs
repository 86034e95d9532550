//! Documents and what is read of them.

use std::fmt::Write as _;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::invoke;

/// A document of these objects, numbered from 1 on; the first is the catalog.
fn document(objects: &[String], trailer: &str) -> Vec<u8> {
    let (mut text, mut places) = ("%PDF-1.7\n".to_owned(), Vec::new());
    for (at, object) in objects.iter().enumerate() {
        places.push(text.len());
        write!(text, "{} 0 obj\n{object}\nendobj\n", at + 1).unwrap();
    }
    let table = text.len();
    write!(text, "xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).unwrap();
    for place in &places {
        write!(text, "{place:010} 00000 n \n").unwrap();
    }
    let size = places.len() + 1;
    write!(text, "trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF").unwrap();
    text.into_bytes()
}

fn stream(dict: &str, content: &str) -> String {
    format!("<< {dict} /Length {} >>\nstream\n{content}\nendstream", content.len())
}

/// A document of pages with these contents, each with the fonts F (Latin) and the form X.
fn pages(contents: &[&str], form: &str, trailer: &str) -> Vec<u8> {
    let kids: Vec<String> = (0..contents.len()).map(|at| format!("{} 0 R", 5 + 2 * at)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Count {} /Kids [{}] /MediaBox [0 0 600 800] \
             /Resources << /Font << /F 3 0 R >> /XObject << /X 4 0 R >> >> >>",
            contents.len(),
            kids.join(" ")
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        stream("/Type /XObject /Subtype /Form /BBox [0 0 600 800]", form),
    ];
    for (at, content) in contents.iter().enumerate() {
        objects.push(format!("<< /Type /Page /Parent 2 0 R /Contents {} 0 R >>", 6 + 2 * at));
        objects.push(stream("", content));
    }
    document(&objects, trailer)
}

fn asked(bytes: &[u8], more: &Value) -> Result<Value, String> {
    let mut input = json!({"pdf": STANDARD.encode(bytes)});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    invoke("pdf/extract", &input.to_string()).map(|answer| serde_json::from_str(&answer).unwrap())
}

fn text(content: &str) -> String {
    let answer = asked(&pages(&[content], "", ""), &json!({})).unwrap();
    answer["pages"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_document_becomes_text_page_by_page() {
    let first = "BT /F 12 Tf 72 720 Td (The harbour of) Tj 0 -14 Td [(V) 80 (elmora) -300 (was)] TJ T* \
                 0 -40 Td (dredged in 1911.) Tj ET";
    let bytes = pages(
        &[first, "BT /F 12 Tf 14 TL 72 700 Td (Page) Tj (\\040two) ' ET /X Do"],
        "BT /F 9 Tf 72 100 Td (Foot \\374) Tj ET",
        "",
    );
    let answer = asked(&bytes, &json!({})).unwrap();
    assert_eq!(
        answer,
        json!({
            "title": "", "page_count": 2, "unreadable": 0, "truncated": false,
            "pages": [
                {"page": 1, "text": "The harbour of\nVelmora was\n\ndredged in 1911."},
                {"page": 2, "text": "Page\ntwo\n\nFoot ü"}
            ]
        })
    );
    let second = asked(&bytes, &json!({"first": 2, "most": 1})).unwrap();
    assert_eq!((&second["pages"][0]["page"], &second["truncated"]), (&json!(2), &json!(false)));
    assert_eq!(asked(&bytes, &json!({"most": 1})).unwrap()["truncated"], true);
    let wrong = asked(&bytes, &json!({"first": 3})).unwrap_err();
    assert_eq!(wrong, "there is no page 3: the document has 2");
}

#[test]
fn a_title_is_read_in_either_of_its_forms() {
    for (written, title) in [("(The \\374ber harbour)", "The über harbour"), ("<FEFF004800E50021>", "Hå!")] {
        let mut objects = vec![
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
            "<< /Type /Page /Parent 2 0 R >>".to_owned(),
        ];
        objects.push(format!("<< /Title {written} >>"));
        assert_eq!(asked(&document(&objects, "/Info 4 0 R"), &json!({})).unwrap()["title"], title);
    }
}

#[test]
fn where_characters_stand_decides_what_is_a_word_and_a_line() {
    for (content, read) in [
        // Words apart by a gap only, and letters that are spaced out.
        ("BT /F 10 Tf 72 700 Td (one) Tj 40 0 Td (two) Tj ET", "one two"),
        ("BT /F 10 Tf 1 Tc 72 700 Td (wide) Tj ET", "wide"),
        // Back to the beginning at the same height, and a raised figure.
        ("BT /F 10 Tf 300 700 Td (right) Tj -228 0 Td (left) Tj ET", "right\nleft"),
        ("BT /F 10 Tf 72 700 Td (x) Tj 4 Ts /F 6 Tf (2) Tj ET", "x2"),
        // Upwards along the page, and twice as large by the page's own scale.
        ("BT /F 10 Tf 0 1 -1 0 300 200 Tm (up) Tj 40 0 Td (wards) Tj ET", "up wards"),
        ("q 2 0 0 2 0 0 cm BT /F 5 Tf 72 300 Td (two) Tj 0 -6 Td (lines) Tj ET Q", "two\nlines"),
        ("BT /F 10 Tf 72 700 Td (\\223of\\224 a\\240b) Tj ET", "“of” a b"),
        // Without a font readers take Latin.
        ("BT 10 0 0 10 72 700 Tm (plain) Tj ET", "plain"),
    ] {
        assert_eq!(text(content), read, "{content}");
    }
}

#[test]
fn what_a_reader_does_not_see_is_left_out_but_for_the_words_of_a_scan() {
    let seen = "BT /F 10 Tf 72 700 Td (seen) Tj ET";
    for hidden in [
        "BT /F 10 Tf 3 Tr 72 600 Td (order) Tj ET",
        "BT /F 10 Tf 72 -600 Td (order) Tj ET",
        "BT /F 10 Tf 9000 700 Td (order) Tj ET",
    ] {
        assert_eq!(text(&format!("{seen} q {hidden} Q")), "seen", "{hidden}");
        let whole = asked(&pages(&[&format!("{seen} q {hidden} Q")], "", ""), &json!({"whole": true})).unwrap();
        assert!(whole["pages"][0]["text"].as_str().unwrap().contains("order"), "{whole}");
    }
    assert_eq!(text("BT /F 10 Tf 3 Tr 72 700 Td (a scan) Tj ET"), "a scan");
}

#[test]
fn what_cannot_be_read_is_named_with_its_mend() {
    let whole = pages(&["BT /F 10 Tf 72 700 Td (kept) Tj ET"], "", "");
    let locked = pages(
        &[""],
        "",
        &format!("/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{0}> /U <{0}> >>", "ab".repeat(32)),
    );
    let unknown = pages(&[""], "", "/ID [<00> <00>] /Encrypt << /Filter /Standard /V 9 /R 9 /P -4 /O <00> /U <00> >>");
    for (bytes, why) in [
        (locked, "locked with a password: save a copy without one"),
        (unknown, "encrypted in a way that cannot be read"),
        (b"PK\x03\x04 a zip".to_vec(), "these 10 bytes are no PDF"),
        (Vec::new(), "these 0 bytes are no PDF"),
        (whole[..60].to_vec(), "damaged or cut off"),
        (b"%PDF-1.7\n".to_vec(), "damaged or cut off"),
    ] {
        let told = asked(&bytes, &json!({})).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
    let told = invoke("pdf/extract", r#"{"pdf": "no base64!"}"#).unwrap_err();
    assert!(told.contains("pdf is not base64"), "{told}");
    assert!(invoke("pdf/other", "{}").unwrap_err().contains("it holds pdf/extract"));
    // What is left of a file that was cut off behind its pages is read.
    let cut = whole.windows(4).position(|window| window == b"xref").unwrap();
    assert_eq!(asked(&whole[..cut - 5], &json!({})).unwrap()["pages"][0]["text"], "kept");
}

#[test]
fn objects_that_lead_in_a_circle_end() {
    let catalog = "<< /Type /Catalog /Pages 2 0 R >>".to_owned();
    let page = "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject << /X 4 0 R >> >> >>".to_owned();
    let drawn = stream("/Subtype /Form /Resources << /XObject << /X 4 0 R >> >>", "/X Do /X Do");
    for (name, objects) in [
        (
            "a page tree in itself",
            vec![catalog.clone(), "<< /Type /Pages /Kids [2 0 R 3 0 R] >>".into(), page.clone(), drawn.clone()],
        ),
        ("an object that is itself", vec![catalog.clone(), "2 0 R".into(), page.clone(), drawn.clone()]),
        (
            "a form that draws itself",
            vec![catalog.clone(), "<< /Type /Pages /Kids [3 0 R] >>".into(), page.clone(), drawn],
        ),
        (
            "a length that is its own stream's",
            vec![
                catalog,
                "<< /Type /Pages /Kids [3 0 R] >>".into(),
                page,
                "<< /Length 4 0 R >>\nstream\nBT ET\nendstream".into(),
            ],
        ),
    ] {
        let began = Instant::now();
        let _ = asked(&document(&objects, ""), &json!({}));
        assert!(began.elapsed().as_secs() < 60, "{name}: {:?}", began.elapsed());
    }
    let itself = document(&["<< /Type /Catalog /Pages 1 0 R /Kids [1 0 R] >>".into()], "/Prev 9 /XRefStm 9");
    let _ = asked(&itself, &json!({}));
}

#[test]
fn a_hostile_document_costs_what_its_size_costs() {
    // A page tree twenty thousand nodes deep, and objects within objects.
    let mut deep = vec!["<< /Type /Catalog /Pages 2 0 R >>".to_owned()];
    deep.extend((3..20_000).map(|next| format!("<< /Type /Pages /Kids [{next} 0 R] >>")));
    deep.push("<< /Type /Page >>".to_owned());
    let nested = |open: &str, close: &str| {
        let value = format!("{}{}", open.repeat(20_000), close.repeat(20_000));
        vec![
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            format!("<< /Type /Pages /Kids [3 0 R] /Resources << /Font {value} >> >>"),
            format!("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Annots {value} >>"),
            stream("", &format!("{value} Tj q {}", "q ".repeat(200_000))),
        ]
    };
    for (name, objects) in [("deep", deep), ("arrays", nested("[", "]")), ("dictionaries", nested("<< /A ", ">>"))] {
        let began = Instant::now();
        let read = asked(&document(&objects, ""), &json!({}));
        assert!(began.elapsed().as_secs() < 60, "{name}: {:?}", began.elapsed());
        assert!(read.is_ok_and(|read| read["page_count"] == 1) || name != "deep", "{name}");
    }
    // Forms that each draw the next one twice would be a million, and are ten thousand.
    let doubling = (0..20)
        .map(|at| stream(&format!("/Subtype /Form /Resources << /XObject << /X {} 0 R >> >>", at + 5), "/X Do /X Do"));
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Resources << /XObject << /X 4 0 R >> >> >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>".to_owned(),
    ];
    objects.extend(doubling);
    assert_eq!(asked(&document(&objects, ""), &json!({})).unwrap()["truncated"], true);
    // Text is cut at its cap, over all pages.
    let line = "(words and words ) Tj ".repeat(20_000);
    let long = format!("BT /F 10 Tf 1 0 0 1 72 700 Tm {line} ET");
    let read = asked(&pages(&[&long, &long], "", ""), &json!({"whole": true})).unwrap();
    let size: usize = read["pages"].as_array().unwrap().iter().map(|page| page["text"].as_str().unwrap().len()).sum();
    assert!(read["truncated"] == true && size <= 512 << 10 && size > 500 << 10, "{size}");
}

#[test]
fn characters_that_nobody_can_name_are_counted() {
    let objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Resources << /Font << /F 5 0 R >> >> >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>".to_owned(),
        stream("", "BT /F 10 Tf 72 700 Td <00010002> Tj (ab) Tj ET"),
        "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [1 0 0 1 0 0] /CharProcs << >> /Encoding << /Differences [97 /g1 /g2] >> >>".to_owned(),
    ];
    let read = asked(&document(&objects, ""), &json!({})).unwrap();
    assert_eq!(read["unreadable"], 6, "{read}");
}
