//! Tensors of a `safetensors` file: eight bytes of length, a header of JSON, the numbers.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

/// A file in memory, and where its tensors are.
pub(super) struct Weights<'a> {
    data: &'a [u8],
    tensors: HashMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl<'a> Weights<'a> {
    /// Reads a file's header; else, what is wrong with it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let cut_off = || "it is cut off".to_owned();
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut_off)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut_off())?;
        let header = rest.get(..length).ok_or_else(cut_off)?;
        let header: HashMap<String, Value> =
            serde_json::from_slice(header).map_err(|error| format!("its header does not parse: {error}"))?;
        let mut tensors = HashMap::new();
        for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let tensor = serde_json::from_value(value).map_err(|error| format!("tensor {name}: {error}"))?;
            tensors.insert(name, tensor);
        }
        Ok(Self { data: &rest[length..], tensors })
    }

    /// A tensor of that shape, under its name or with `bert.` before it.
    pub(super) fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let prefixed = format!("bert.{name}");
        let tensor = self.tensors.get(name).or_else(|| self.tensors.get(&prefixed));
        let tensor = tensor.ok_or_else(|| format!("it has no tensor {name}"))?;
        if tensor.shape != shape {
            return Err(format!("tensor {name} has the shape {:?}, config.json asks for {shape:?}", tensor.shape));
        }
        let [from, to] = tensor.data_offsets;
        let bytes = self.data.get(from..to).ok_or_else(|| format!("tensor {name} lies beyond the end"))?;
        let half = |bytes: &[u8; 2]| u32::from(u16::from_le_bytes(*bytes));
        let values: Vec<f32> = match tensor.dtype.as_str() {
            "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            "BF16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f32::from_bits(half(bytes) << 16)).collect(),
            "F16" => bytes.as_chunks::<2>().0.iter().map(|bytes| widened(half(bytes))).collect(),
            other => return Err(format!("tensor {name} is of {other}: F32, F16 and BF16 are known")),
        };
        let wanted: usize = shape.iter().product();
        if values.len() != wanted {
            return Err(format!("tensor {name} has {} numbers, its shape {wanted}", values.len()));
        }
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(format!("tensor {name} has a value that is not a finite number")),
        }
    }
}

/// IEEE 754 binary16 as binary32.
fn widened(half: u32) -> f32 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (half >> 10 & 31, (half & 1023) as f32);
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent.cast_signed() - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn numbers_of_every_kind_are_read() {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "bert.b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},"c":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},
            "d":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[9],"data_offsets":[0,99]},
            "n":{"dtype":"BF16","shape":[1],"data_offsets":[10,12]}}"#;
        let data = [0, 0, 0x80, 0x3f, 0, 0x3c, 1, 0x80, 0x80, 0xbf, 0xc0, 0x7f];
        let bytes = file(header, &data);
        let weights = Weights::read(&bytes).unwrap();
        assert_eq!(weights.take("a", &[1]).unwrap(), [1.0]);
        assert_eq!(weights.take("b", &[2]).unwrap(), [1.0, -(2.0_f32.powi(-24))]);
        assert_eq!(weights.take("c", &[1]).unwrap(), [-1.0]);
        for (name, shape, why) in [
            ("x", 1, "no tensor x"),
            ("a", 2, "shape"),
            ("d", 1, "I64"),
            ("e", 9, "beyond the end"),
            ("n", 1, "finite number"),
        ] {
            assert!(weights.take(name, &[shape]).unwrap_err().contains(why), "{name}");
        }
        assert_eq!(widened(0x7bff), 65504.0);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for bytes in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", &file("[]", b""), &file(r#"{"a":1}"#, b"")] {
            assert!(Weights::read(bytes).is_err());
        }
    }
}
