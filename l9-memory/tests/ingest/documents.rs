//! Web pages, PDFs and source code.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use l9_core::label::Label;
use l9_core::{Error, ErrorKind, Result};
use l9_memory::ingest::{Change, Extract, Ingest, Options, Part, Status, Written};

use super::place::Place;

/// Reads pages that are apart by form feeds, and refuses the word `bad`.
#[derive(Debug, Default)]
struct Reader {
    calls: AtomicUsize,
}

#[async_trait]
impl Extract for Reader {
    async fn extract(&self, written: Written, document: &[u8], label: &Label) -> Result<Vec<Part>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        assert_ne!(*label, Label::default());
        let text = std::str::from_utf8(document).map_err(|error| Error::invalid(error.to_string()))?;
        if text.contains("bad") {
            return Err(Error::invalid("the PDF is locked with a password: save a copy without one"));
        }
        let page = |(at, text): (usize, &str)| Part {
            text: text.to_owned(),
            page: (written == Written::Pdf).then_some(at as u64 + 1),
        };
        Ok(text.split('\u{c}').enumerate().map(page).collect())
    }
}

fn ingest(place: &Place, reader: &Arc<Reader>) -> Ingest {
    place.ingest().with_extract(Arc::<Reader>::clone(reader))
}

#[tokio::test]
async fn documents_are_read_once_and_say_where_their_words_stand() {
    let (place, reader) = (Place::new(), Arc::new(Reader::default()));
    let docs = place.path("docs");
    place.write("docs/page.html", "# Harbour\n\nDredged in 1911.");
    place.write("docs/report.PDF", format!("Calm seas.\u{c}{}", "A storm came up. ".repeat(120)));
    place.write("docs/locked.pdf", "bad");
    place.write("docs/scan.pdf", " \u{c} ");
    let report = ingest(&place, &reader).path(&docs, &|_: &Status| {}).await.unwrap();
    let reasons: Vec<&str> = report.skipped.iter().map(|one| one.reason.as_str()).collect();
    assert!(reasons[0].contains("locked with a password") && reasons[1] == "it has no words", "{reasons:?}");
    assert_eq!((report.files, report.stored as u64), (2, place.count().await));
    let dredged = &place.found("dredged").await[0].entry;
    assert_eq!(dredged.metadata["heading"], "Harbour");
    assert_eq!(dredged.position.as_deref(), Some("lines 1-3 of its text"));
    assert_eq!(place.found("calm").await[0].entry.position.as_deref(), Some("page 1"));
    let storm: Vec<_> = place.found("storm").await.into_iter().filter_map(|entry| entry.entry.position).collect();
    assert!(storm.contains(&"page 2".to_owned()) && storm.contains(&"page 2, part 2".to_owned()), "{storm:?}");
    // What is known is not read again; what could not be read is tried again.
    assert_eq!(reader.calls.swap(0, Ordering::Relaxed), 4);
    let again = ingest(&place, &reader).path(&docs, &|_: &Status| {}).await.unwrap();
    assert_eq!((again.unchanged, again.stored, reader.calls.swap(0, Ordering::Relaxed)), (2, 0, 2));
    // Neither is anything for a dry run.
    place.write("docs/page.html", "# Harbour\n\nDredged in 1912.");
    let dry = ingest(&place, &reader).with_options(Options { dry_run: true, ..Options::default() });
    let dry = dry.path(&docs, &|_: &Status| {}).await.unwrap();
    assert_eq!((dry.count(Change::Changed), dry.unchanged, reader.calls.load(Ordering::Relaxed)), (1, 1, 0));
    let report = ingest(&place, &reader).path(&docs.join("page.html"), &|_: &Status| {}).await.unwrap();
    assert_eq!((report.stored, report.replaced), (1, 1));
    let error = ingest(&place, &reader).path(&docs.join("locked.pdf"), &|_: &Status| {}).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("locked.pdf: the PDF is locked"));
}

#[tokio::test]
async fn without_a_reader_documents_are_left_out_with_the_reason() {
    let place = Place::new();
    let page = place.write("docs/page.html", "<p>words");
    let report = place.take(&place.path("docs")).await.unwrap();
    assert!(report.stored == 0 && report.skipped[0].reason.contains("feature `wasm`"), "{report:?}");
    assert_eq!(place.take(&page).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn source_code_is_cut_between_definitions_and_quotes_exactly() {
    let place = Place::new();
    let body = |name: &str| format!("    let {name} = one();\n\n    two({name});\n").repeat(20);
    let function = |name: &str| format!("/// About {name}.\npub fn {name}() {{\n{}}}\n", body(name));
    let names = ["kestrel", "merlin", "hobby"];
    let text = format!("//! Birds.\n\nuse std::fs;\n\n{}", names.map(function).join("\n"));
    place.write("src/birds.rs", &text);
    place.write("src/Makefile", "birds:\n\tcargo run\n");
    let report = place.take(&place.path("src")).await.unwrap();
    assert_eq!((report.files, report.skipped.len()), (2, 0));
    for name in names {
        let entry = &place.found(&format!("about {name}")).await[0].entry;
        assert!(entry.text.ends_with(function(name).trim_end()), "{}", entry.text);
        let line = text[..text.find(&entry.text).unwrap()].matches('\n').count() + 1;
        let last = line + entry.text.matches('\n').count();
        assert_eq!(entry.position, Some(format!("lines {line}-{last}")));
    }
}
