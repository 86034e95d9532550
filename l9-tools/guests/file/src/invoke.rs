//! The tools' border: JSON in, JSON out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::folder::{Error, Folder};
use crate::{list, read, write};

/// Why a call gave no output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The input cannot be used.
    InvalidInput(String),
    /// The tool could not do its work.
    Failed(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(message) | Error::Exists(message) | Error::InvalidPath(message) => {
                Self::InvalidInput(message)
            }
            Error::Failed(message) => Self::Failed(message),
        }
    }
}

/// How the bytes of a file are written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// As they are: UTF-8.
    #[default]
    Text,
    /// Any bytes.
    Base64,
}

impl Encoding {
    /// The bytes of a text.
    pub(crate) fn decode(self, content: String) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Text => Ok(content.into_bytes()),
            Self::Base64 => STANDARD.decode(content).map_err(|error| {
                Fault::InvalidInput(format!("content is not base64 ({error}): write standard base64, or encoding text"))
            }),
        }
    }

    /// The text of some bytes; nothing if they have none.
    pub(crate) fn encode(self, bytes: Vec<u8>) -> Option<String> {
        match self {
            Self::Text => String::from_utf8(bytes).ok(),
            Self::Base64 => Some(STANDARD.encode(bytes)),
        }
    }
}

/// Runs the named tool on its JSON input.
///
/// # Errors
/// A sentence for the caller when there is no such tool, the input is not the tool's, or the
/// host refuses.
pub fn invoke(folder: &dyn Folder, tool: &str, input: &str) -> Result<String, Fault> {
    match tool {
        "file/read" => told(&read::read(folder, parsed(input)?)?),
        "file/write" => told(&write::write(folder, parsed(input)?)?),
        "file/list" => told(&list::list(folder, parsed(input)?)?),
        _ => Err(Fault::InvalidInput(format!(
            "no tool named {tool:?} in this component: it holds file/read, file/write and file/list"
        ))),
    }
}

fn parsed<T: DeserializeOwned>(input: &str) -> Result<T, Fault> {
    serde_json::from_str(input)
        .map_err(|error| Fault::InvalidInput(format!("the input does not fit the tool: {error}")))
}

fn told(answer: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(answer).map_err(|error| Fault::Failed(error.to_string()))
}
