//! `file/read`: a part of a file.

use serde::{Deserialize, Serialize};

use crate::folder::{Folder, Kind};
use crate::invoke::{Encoding, Fault};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    mount: String,
    path: String,
    #[serde(default)]
    offset: u64,
    #[serde(default = "quarter")]
    most: usize,
    #[serde(default)]
    encoding: Encoding,
}

fn quarter() -> usize {
    256 << 10
}

#[derive(Debug, Serialize)]
pub(crate) struct Part {
    path: String,
    /// Bytes of the whole file.
    size: u64,
    offset: u64,
    /// Where the next part begins.
    end: u64,
    truncated: bool,
    encoding: Encoding,
    content: String,
}

pub(crate) fn read(folder: &dyn Folder, asked: Asked) -> Result<Part, Fault> {
    let Asked { mount, path, offset, most, encoding } = asked;
    let entry = folder.stat(&mount, &path)?;
    if entry.kind != Kind::File {
        return Err(Fault::InvalidInput(format!("{path:?} is no file: file/list shows what a folder holds")));
    }
    if offset > entry.size {
        let size = entry.size;
        return Err(Fault::InvalidInput(format!(
            "offset is {offset}, but {path:?} has {size} bytes: begin before its end"
        )));
    }
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let wanted = u32::try_from(most - bytes.len()).unwrap_or(u32::MAX);
        let part = folder.read(&mount, &path, offset + bytes.len() as u64, wanted)?;
        if part.is_empty() {
            break;
        }
        bytes.extend(part);
    }
    let cut = bytes.len() == most && offset + (most as u64) < entry.size;
    if cut && encoding == Encoding::Text {
        // A character that does not fit whole belongs to the next part.
        bytes.truncate(whole_characters(&bytes));
    }
    let end = offset + bytes.len() as u64;
    let Some(content) = encoding.encode(bytes) else {
        return Err(Fault::InvalidInput(format!(
            "{path:?} is no UTF-8 text from byte {offset} on: ask with encoding base64"
        )));
    };
    Ok(Part { path, size: entry.size, offset, end, truncated: end < entry.size, encoding, content })
}

/// How many of the bytes come before a character that was cut off.
fn whole_characters(bytes: &[u8]) -> usize {
    let begins = bytes.iter().rposition(|byte| !(0x80..0xc0).contains(byte)).unwrap_or(0);
    let wide = match bytes.get(begins) {
        Some(0xc0..0xe0) => 2,
        Some(0xe0..0xf0) => 3,
        Some(0xf0..) => 4,
        _ => 1,
    };
    if bytes.len() - begins < wide { begins } else { bytes.len() }
}
