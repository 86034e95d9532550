//! The embedder of a model's folder, with a real model: its vectors are those of an
//! implementation in another language, and mean what texts mean.

use l9_core::ErrorKind;
use l9_core::memory::Embedder;
use l9_memory::embed::Local;
use l9_services::sentence_model;

/// The first numbers of vectors, by numpy in 64 bits over the tokens of Hugging Face's own
/// tokenizer.
const REFERENCE: [(&str, [f32; 6]); 3] = [
    ("That is a happy person", [-0.03388, 0.09194, 0.0487, -0.03488, -0.06483, -0.02669]),
    ("Today is a sunny day", [-0.01629, 0.10407, 0.09741, 0.07417, 0.03746, -0.06071]),
    (
        "Caf\u{e9} na\u{ef}ve, \u{6771}\u{4eac} 2026: it's $5.00\u{2014}really? \u{1f600} supercalifragilistic",
        [0.07144, 0.04475, 0.09467, 0.02106, -0.00649, -0.01642],
    ),
];

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[tokio::test]
async fn vectors_are_those_of_another_implementation() {
    let model = Local::open(&sentence_model()).unwrap();
    assert_eq!(model.space().dimensions(), 384);
    let texts: Vec<&str> = REFERENCE.iter().map(|(text, _)| *text).collect();
    let together = model.embed(&texts).await.unwrap();
    for ((text, wanted), vector) in REFERENCE.iter().zip(&together) {
        for (wanted, value) in wanted.iter().zip(vector) {
            assert!((wanted - value).abs() < 5e-5, "{text}: {wanted} {value}");
        }
        // What it is given beside changes nothing.
        let alone = model.embed(&[text]).await.unwrap();
        assert!(cosine(&alone[0], vector) > 0.999_99, "{text}");
    }
    // As numpy has them.
    let asked =
        ["That is a happy person", "That is a very happy person", "That is a happy dog", "Today is a sunny day"];
    let vectors = model.embed(&asked).await.unwrap();
    let near: Vec<f32> = vectors.iter().map(|vector| cosine(&vectors[0], vector)).collect();
    for (near, wanted) in near.iter().zip([1.0, 0.943, 0.695, 0.257]) {
        assert!((near - wanted).abs() < 1e-3, "{near} {wanted}");
    }
}

#[tokio::test]
async fn a_paraphrase_is_nearer_than_what_shares_words() {
    let model = Local::open(&sentence_model()).unwrap();
    let long = "word ".repeat(5000);
    let texts = [
        "How do I get my money back?",
        "Refunds are paid within a week.",
        "How do I get my coat back from the cleaner's garden?",
        "",
        &long,
    ];
    let vectors = model.embed(&texts).await.unwrap();
    let near = |at: usize| cosine(&vectors[0], &vectors[at]);
    assert!(near(1) > near(2) + 0.05, "{} {}", near(1), near(2));
    assert!(vectors.iter().all(|vector| (cosine(vector, vector) - 1.0).abs() < 1e-4));
}

#[tokio::test]
async fn the_folder_alone_says_in_which_space_vectors_lie() {
    let here = sentence_model();
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(here.join(name), folder.path().join(name)).unwrap();
    }
    let (one, other) = (Local::open(&here).unwrap(), Local::open(folder.path()).unwrap());
    assert_ne!(one.space(), other.space(), "the folder without lengths takes longer texts");
    let failed = |name: &str, text: &str| {
        let before = std::fs::read(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let error = Local::open(folder.path()).unwrap_err();
        std::fs::write(folder.path().join(name), before).unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let config = std::fs::read_to_string(here.join("config.json")).unwrap();
    assert!(failed("config.json", &config.replace("\"bert\"", "\"llama\"")).contains("llama"));
    assert!(failed("config.json", &config.replace("1536", "1000")).contains("[1536, 384]"));
    assert!(failed("model.safetensors", "short").contains("cut off"));
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = Local::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}
