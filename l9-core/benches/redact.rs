//! Looking a megabyte through for ten secrets: a text that holds none, one that holds what
//! almost is one, and one that holds many; and the words of a stream as they come.
//!
//! One quarter of the text each time shows whether the cost is linear.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use l9_core::redact::{KnownSecrets, Redactor as _};
use secrecy::SecretString;

const MIB: usize = 1 << 20;

/// Ten secrets as providers make them: a prefix and 40 letters and digits.
fn secrets() -> Vec<SecretString> {
    let mut state = 7u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[(state >> 33) as usize % 62])
    };
    (0..10).map(|_| SecretString::from(format!("sk-{}", (0..40).map(|_| letter()).collect::<String>()))).collect()
}

fn text(piece: &str, bytes: usize) -> String {
    piece.chars().cycle().take(bytes).collect()
}

fn redact(c: &mut Criterion) {
    use secrecy::ExposeSecret as _;

    let (secrets, prose) = (secrets(), "{\"id\": 4711, \"note\": \"the quick brown fox jumps over the lazy dog\"}, ");
    let known = KnownSecrets::new(&secrets);
    let one = secrets[3].expose_secret();
    let texts = [
        ("none", prose.to_owned()),
        ("almost", format!("{prose}{} {} ", &one[..11], &one[5..16])),
        ("many", format!("{prose}{one} ")),
        ("nothing_else", one.to_owned()),
    ];
    let mut group = c.benchmark_group("redact");
    for bytes in [MIB / 4, MIB] {
        group.throughput(Throughput::Bytes(bytes as u64));
        for (name, piece) in &texts {
            let text = text(piece, bytes);
            group.bench_with_input(BenchmarkId::new(*name, bytes), &text, |b, text| {
                b.iter(|| known.redact(black_box(text)).len());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, redact);
criterion_main!(benches);
