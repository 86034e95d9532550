//! The encoder of BERT (Devlin et al. 2018), forward only, over texts of different lengths
//! without any padding: what works on single tokens goes over all texts at once.

use serde::Deserialize;

use super::weights::Weights;

/// Numbers of the model, by their names in `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    pub(super) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    pub(super) max_position_embeddings: usize,
    type_vocab_size: usize,
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f32,
    #[serde(default)]
    model_type: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn epsilon() -> f32 {
    1e-12
}

/// How the vectors of tokens become that of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    Mean,
    First,
}

#[derive(Debug)]
pub(super) struct Bert {
    config: Config,
    words: Vec<f32>,
    /// Of positions, with that of the one type of token there is.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: Norm,
    wide: Linear,
    narrow: Linear,
    norm: Norm,
}

/// A weight of rows by output, and a bias.
#[derive(Debug)]
struct Linear {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Bert {
    /// The model of a config and its weights; else, what is wrong.
    pub(super) fn new(config: Config, weights: &Weights<'_>) -> Result<Self, String> {
        config.check()?;
        let width = config.hidden_size;
        let norm = |name: &str| {
            let part = |part: &str| weights.take(&format!("{name}.LayerNorm.{part}"), &[width]);
            Ok::<_, String>(Norm { weight: part("weight")?, bias: part("bias")?, epsilon: config.layer_norm_eps })
        };
        let linear = |name: &str, to: usize, from: usize| {
            let weight = weights.take(&format!("{name}.weight"), &[to, from])?;
            Ok::<_, String>(Linear { weight, bias: weights.take(&format!("{name}.bias"), &[to])? })
        };
        let table = |name: &str, rows: usize| weights.take(&format!("embeddings.{name}.weight"), &[rows, width]);
        let types = table("token_type_embeddings", config.type_vocab_size)?;
        let mut positions = table("position_embeddings", config.max_position_embeddings)?;
        positions.chunks_mut(width).for_each(|row| add(row, &types[..width]));
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for at in 0..config.num_hidden_layers {
            let name = |part: &str| format!("encoder.layer.{at}.{part}");
            layers.push(Layer {
                query: linear(&name("attention.self.query"), width, width)?,
                key: linear(&name("attention.self.key"), width, width)?,
                value: linear(&name("attention.self.value"), width, width)?,
                attended: linear(&name("attention.output.dense"), width, width)?,
                attended_norm: norm(&name("attention.output"))?,
                wide: linear(&name("intermediate.dense"), config.intermediate_size, width)?,
                narrow: linear(&name("output.dense"), width, config.intermediate_size)?,
                norm: norm(&name("output"))?,
            });
        }
        let words = table("word_embeddings", config.vocab_size)?;
        Ok(Self { words, positions, norm: norm("embeddings")?, layers, config })
    }

    /// How many tokens it knows.
    pub(super) fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    /// The vector of each text's tokens, of length 1.
    pub(super) fn embed(&self, texts: &[Vec<u32>], pooling: Pooling) -> Vec<Vec<f32>> {
        let width = self.config.hidden_size;
        let mut all = Vec::with_capacity(texts.iter().map(Vec::len).sum::<usize>() * width);
        for tokens in texts {
            for (token, position) in tokens.iter().zip(self.positions.chunks(width)) {
                let word = *token as usize * width;
                all.extend(self.words[word..word + width].iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.norm.apply(&mut all);
        for layer in &self.layers {
            layer.apply(&mut all, texts, &self.config);
        }
        let mut rest = &all[..];
        let pooled = texts.iter().map(|tokens| {
            let (own, after) = rest.split_at(tokens.len() * width);
            rest = after;
            pooled(own, width, pooling)
        });
        pooled.collect()
    }
}

fn pooled(tokens: &[f32], width: usize, pooling: Pooling) -> Vec<f32> {
    let mut vector = tokens[..width].to_vec();
    if pooling == Pooling::Mean {
        tokens.chunks(width).skip(1).for_each(|token| add(&mut vector, token));
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

impl Config {
    fn check(&self) -> Result<(), String> {
        let wrong = |what: String| Err(format!("config.json has {what}"));
        let sizes = [self.hidden_size, self.num_attention_heads, self.intermediate_size, self.type_vocab_size];
        if !matches!(self.model_type.as_str(), "" | "bert") {
            wrong(format!("model_type {:?}: bert is known", self.model_type))
        } else if self.hidden_act != "gelu" {
            wrong(format!("hidden_act {:?}: gelu is known", self.hidden_act))
        } else if self.position_embedding_type.as_ref().is_some_and(|kind| kind != "absolute") {
            wrong("positions that are not absolute, which are not known".into())
        } else if sizes.contains(&0) || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            wrong(format!("hidden_size {} and num_attention_heads {}", self.hidden_size, self.num_attention_heads))
        } else if self.max_position_embeddings < 3 {
            wrong(format!("max_position_embeddings {}", self.max_position_embeddings))
        } else {
            Ok(())
        }
    }
}

impl Layer {
    fn apply(&self, all: &mut [f32], texts: &[Vec<u32>], config: &Config) {
        let attended = self.attended.apply(&self.attend(all, texts, config));
        add(all, &attended);
        self.attended_norm.apply(all);
        let mut wide = self.wide.apply(all);
        wide.iter_mut().for_each(|value| *value = gelu(*value));
        add(all, &self.narrow.apply(&wide));
        self.norm.apply(all);
    }

    /// What every token takes from those of its text.
    fn attend(&self, all: &[f32], texts: &[Vec<u32>], config: &Config) -> Vec<f32> {
        let width = config.hidden_size;
        let each = width / config.num_attention_heads;
        let scale = 1.0 / (each as f32).sqrt();
        let (query, key, value) = (self.query.apply(all), self.key.apply(all), self.value.apply(all));
        let mut out = vec![0.0; all.len()];
        let mut first = 0;
        for count in texts.iter().map(Vec::len) {
            let mut shares = vec![0.0; count * count];
            for head in (0..width).step_by(each) {
                let at = first * width + head;
                let rows = |of| Matrix { values: of, row: width, column: 1 };
                let turned = |of| Matrix { values: of, row: 1, column: width };
                multiply((count, each, count), scale, rows(&query[at..]), turned(&key[at..]), &mut shares, count);
                shares.chunks_mut(count).for_each(softmax);
                let shares = Matrix { values: &shares, row: count, column: 1 };
                multiply((count, count, each), 1.0, shares, rows(&value[at..]), &mut out[at..], width);
            }
            first += count;
        }
        out
    }
}

impl Linear {
    fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let to = self.bias.len();
        let from = self.weight.len() / to;
        let count = rows.len() / from;
        let mut out = vec![0.0; count * to];
        let weight = Matrix { values: &self.weight, row: 1, column: from };
        multiply((count, from, to), 1.0, Matrix { values: rows, row: from, column: 1 }, weight, &mut out, to);
        out.chunks_mut(to).for_each(|row| add(row, &self.bias));
        out
    }
}

impl Norm {
    fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_mut(self.weight.len()) {
            let count = row.len() as f32;
            let mean = row.iter().sum::<f32>() / count;
            let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *value = (*value - mean) * scale * weight + bias;
            }
        }
    }
}

/// Numbers, and how far apart those of the next row and column are.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

impl Matrix<'_> {
    /// Whether every number of so many rows and columns is there.
    fn has(&self, rows: usize, columns: usize) -> bool {
        (rows - 1) * self.row + (columns - 1) * self.column < self.values.len()
    }
}

/// Puts the product of two matrices, of `m × k` and `k × n`, into rows that are `row` apart.
#[expect(unsafe_code, reason = "the kernel takes pointers; every number that it touches is checked to be there")]
fn multiply(
    (m, k, n): (usize, usize, usize),
    scale: f32,
    one: Matrix<'_>,
    other: Matrix<'_>,
    out: &mut [f32],
    row: usize,
) {
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    assert!(one.has(m, k) && other.has(k, n) && n <= row && (m - 1) * row + n <= out.len(), "a matrix is too small");
    let step = usize::cast_signed;
    // SAFETY: the numbers are there, as asserted, and `out` is ours alone.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            scale,
            one.values.as_ptr(),
            step(one.row),
            step(one.column),
            other.values.as_ptr(),
            step(other.row),
            step(other.column),
            0.0,
            out.as_mut_ptr(),
            step(row),
            1,
        );
    }
}

fn add(to: &mut [f32], what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = (*value - most).exp());
    let total: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= total);
}

/// The Gaussian error linear unit; the error function by Abramowitz and Stegun 7.1.26, which is
/// off by 1.5e-7 at most.
fn gelu(value: f32) -> f32 {
    let x = value.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let erf = (1.0 - poly * (-x * x).exp()).copysign(value);
    0.5 * value * (1.0 + erf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_products_and_a_small_matrix_is_refused() {
        let (one, other) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let one = Matrix { values: &one, row: 3, column: 1 };
        let mut out = vec![0.0; 4];
        multiply((2, 3, 2), 1.0, one, Matrix { values: &other, row: 2, column: 1 }, &mut out, 2);
        assert_eq!(out, [58.0, 64.0, 139.0, 154.0]);
        let small = || multiply((2, 3, 2), 1.0, one, Matrix { values: &[0.0; 5], row: 2, column: 1 }, &mut [0.0; 4], 2);
        assert!(std::panic::catch_unwind(small).is_err());
    }

    #[test]
    fn the_unit_is_that_of_gauss() {
        for (value, wanted) in [(0.0, 0.0), (1.0, 0.841_344_8), (-1.0, -0.158_655_2), (3.0, 2.995_950_3), (-9.0, 0.0)] {
            assert!((gelu(value) - wanted).abs() < 2e-6, "{value}: {}", gelu(value));
        }
    }
}
