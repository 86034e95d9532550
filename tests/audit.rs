//! One flipped byte anywhere in a stored record is found, and the record is named.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use l9::run::Record;
use l9::{Runtime, TenantId};

async fn open(folder: &Path) -> Runtime {
    Runtime::builder().data_dir(folder).build().await.unwrap()
}

/// Where a record's row lies in the file: its columns from the tenant to the hash, if the
/// row is in one piece. Copies that a page split left behind are passed over: the row is
/// what changes when verification does.
fn rows(file: &[u8], record: &Record) -> Vec<std::ops::Range<usize>> {
    let start = [record.tenant.as_str().as_bytes(), record.run.as_bytes()].concat();
    let end = [record.commitment.as_bytes().as_slice(), record.prev.as_bytes(), record.hash.as_bytes()].concat();
    let starts = file.windows(start.len()).enumerate().filter(|(_, window)| *window == start).map(|(at, _)| at);
    starts
        .filter_map(|at| {
            let body =
                at + file[at..(at + 96).min(file.len())].windows(8).position(|window| *window == record.body[..8])?;
            let stop = body + record.body.len() + end.len();
            (file.get(body..body + record.body.len())? == record.body && file.get(stop - end.len()..stop)? == end)
                .then_some(at..stop)
        })
        .collect()
}

#[tokio::test]
async fn every_flipped_byte_of_a_record_is_found_and_the_record_named() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = open(folder.path()).await;
    let run = runtime.run("researcher", "What is 2 + 2?").await.unwrap();
    let id = run.run();
    run.outcome().await.unwrap();
    let records = runtime.store().read(&TenantId::default_tenant(), id, 0, 100).await.unwrap();
    runtime.shutdown().await;

    let database = folder.path().join("l9.db");
    let whole = std::fs::read(&database).unwrap();
    let (mut flipped, mut rows_hit) = (0, 0);
    for record in &records {
        let Some(row) = rows(&whole, record).pop() else { continue };
        rows_hit += 1;
        for at in row.step_by(29) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&database, &damaged).unwrap();
            let runtime = open(folder.path()).await;
            let report = runtime.verify().await.unwrap();
            runtime.shutdown().await;
            let named = report.faults.iter().any(|fault| fault.run_id == id && fault.seq == Some(record.seq));
            assert!(named, "byte {at} of record {}: {:?}", record.seq, report.faults);
            flipped += 1;
        }
    }
    println!("{flipped} bytes flipped in {rows_hit} of {} rows", records.len());
    assert!(rows_hit >= 6 && flipped > 100, "{rows_hit} rows, {flipped} bytes");
    std::fs::write(&database, &whole).unwrap();
    assert_eq!(open(folder.path()).await.verify().await.unwrap().faults, []);
}
