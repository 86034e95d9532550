//! What an operator says of one MCP server: how it is reached, what it is granted, and what
//! its listing cannot be believed about.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;
use l9_core::id::ToolId;
use l9_core::label::Confidentiality;
use l9_core::tool::{Approval, ArgRole, EffectClass, Integrity};
use l9_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::egress::Origin;
use crate::secrets::{is_handle, is_loopback};

/// One MCP server: a program that speaks over its standard input and output, or an address
/// that speaks streamable HTTP.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The program of a server that runs here; found in PATH, or an absolute path.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment beside PATH; it is given nothing else of this one's.
    pub env: BTreeMap<String, String>,
    /// Variable of its environment to the handle of the secret that it holds.
    pub secrets: BTreeMap<String, String>,
    /// The address of a server that is reached over HTTP.
    pub url: Option<String>,
    /// The handle of the bearer token that is sent to that address, and to no other.
    pub token: Option<String>,
    /// Whether that address may be a private one.
    pub allow_private: bool,
    /// How long the server may take to start, shake hands and list its tools, in milliseconds.
    pub start_ms: u64,
    /// How long one call may take, in milliseconds.
    pub call_ms: u64,
    /// Bytes of one message from the server.
    pub message_bytes: u64,
    /// Bytes of one call's output.
    pub output_bytes: u64,
    /// Bytes of memory of each of its processes.
    pub memory_bytes: u64,
    /// Bytes of each file that they write.
    pub file_bytes: u64,
    /// Files that each of them has open.
    pub open_files: u64,
    /// The only tools that are taken, by their names there; all if absent.
    pub tools: Option<Vec<String>>,
    /// What the listing cannot say, by the tool's name there.
    pub overrides: BTreeMap<String, Override>,
}

/// What an operator says of one tool. Without it a tool is an opaque write whose output is
/// not trusted, whatever the server hints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// What a call does to the world: `read`, `keyed_write` where the same call again changes
    /// nothing more, or `opaque_write`.
    pub effect: EffectClass,
    /// Whether what it does cannot be undone.
    pub destructive: bool,
    /// JSON pointer of a consequential argument to its role.
    pub args: BTreeMap<String, ArgRole>,
    /// JSON-pointer pattern of a field of its output `{text, structured, error, parts}` to
    /// whether it is trusted; what no pattern covers is not.
    pub output: BTreeMap<String, Integrity>,
    /// The most confidential value it may be given.
    pub max_confidentiality: Option<Confidentiality>,
    /// Whether a person is asked.
    pub approval: Approval,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            url: None,
            token: None,
            allow_private: false,
            start_ms: 30_000,
            call_ms: 60_000,
            message_bytes: 4 << 20,
            output_bytes: 1 << 20,
            memory_bytes: 2 << 30,
            file_bytes: 1 << 30,
            open_files: 1_024,
            tools: None,
            overrides: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Finds what does not fit, for the server of that name.
    ///
    /// # Errors
    /// `Invalid` with the field, the value and the mend.
    pub fn check(&self, name: &str) -> Result<()> {
        let wrong = |what: String| Err(Error::invalid(format!("mcp server {name}: {what}")));
        if ToolId::new(format!("{name}/x")).is_err() {
            return wrong("is no name: use 1 to 64 of a-z 0-9 - _ . beginning with a letter or digit".into());
        }
        match (&self.command, &self.url) {
            (None, None) => return wrong("needs command or url".into()),
            (Some(_), Some(_)) => return wrong("has command and url: keep one of them".into()),
            (Some(_), None) if self.token.is_some() || self.allow_private => {
                return wrong("token and allow_private are for url: give a program its secrets in secrets".into());
            }
            (None, Some(url)) => {
                if !self.args.is_empty() || !self.env.is_empty() || !self.secrets.is_empty() {
                    return wrong("args, env and secrets are for command: remove them, or use token".into());
                }
                if let Err(error) = Origin::of(url) {
                    return wrong(format!("url: {error}"));
                }
                let uri: Uri =
                    url.parse().map_err(|_| Error::invalid(format!("mcp server {name}: url: it is no address")))?;
                let plain = uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback);
                if plain && self.token.is_some() {
                    return wrong("url: the token would go there in clear: use https, or a loopback address".into());
                }
            }
            (Some(command), None) => {
                if command.is_empty() || command.contains('\0') {
                    return wrong("command is empty: name a program".into());
                }
            }
        }
        let variables = self.env.keys().chain(self.secrets.keys());
        if let Some(bad) = variables.into_iter().find(|variable| !is_variable(variable)) {
            return wrong(format!("{bad:?} is no variable: use letters, digits and _"));
        }
        if let Some(bad) = self.handles().find(|handle| !is_handle(handle)) {
            return wrong(format!("{bad:?} is no handle of a secret: use 1 to 64 of a-z, 0-9, - and _"));
        }
        for (field, value, least, most) in [
            ("start_ms", self.start_ms, 100, 600_000),
            ("call_ms", self.call_ms, 1, 3_600_000),
            ("message_bytes", self.message_bytes, 1_024, 64 << 20),
            ("output_bytes", self.output_bytes, 2, 64 << 20),
            ("memory_bytes", self.memory_bytes, 1 << 20, 1 << 40),
            ("file_bytes", self.file_bytes, 0, 1 << 40),
            ("open_files", self.open_files, 16, 1_000_000),
        ] {
            if !(least..=most).contains(&value) {
                return wrong(format!("{field} is {value}: use {least} to {most}"));
            }
        }
        for (tool, said) in &self.overrides {
            if !matches!(said.effect, EffectClass::Read | EffectClass::KeyedWrite | EffectClass::OpaqueWrite) {
                let effect = said.effect.as_str();
                return wrong(format!(
                    "overrides.{tool}.effect is {effect}: use read, keyed_write or opaque_write, nothing else can be held there"
                ));
            }
        }
        Ok(())
    }

    /// The program that is named and is not there.
    #[must_use]
    pub fn missing_program(&self) -> Option<&str> {
        self.command.as_deref().filter(|command| super::process::find(command).is_none())
    }

    /// The handles of the secrets that it is given.
    pub fn handles(&self) -> impl Iterator<Item = &str> {
        self.secrets.values().chain(&self.token).map(String::as_str)
    }

    /// Whether the operator takes the tool of that name.
    pub(super) fn takes(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|taken| taken == tool))
    }

    pub(super) fn start(&self) -> Duration {
        Duration::from_millis(self.start_ms)
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name != "PATH"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings { command: Some("server".into()), ..Settings::default() };
        change(&mut settings);
        settings.check("notes").unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_mend() {
        Settings { command: Some("server".into()), ..Settings::default() }.check("notes").unwrap();
        Settings { url: Some("https://a.example/mcp".into()), ..Settings::default() }.check("notes").unwrap();
        assert!(refused(|settings| settings.command = None).contains("needs command or url"));
        assert!(refused(|settings| settings.url = Some("https://a.example".into())).contains("keep one"));
        assert!(refused(|settings| settings.token = Some("x".to_owned())).contains("are for url"));
        assert!(
            refused(|settings| {
                settings.secrets.insert("KEY".into(), "hunter2 hunter2".into());
            })
            .contains("no handle of a secret")
        );
        assert!(refused(|settings| settings.call_ms = 0).contains("call_ms is 0: use 1 to"));
        assert!(
            refused(|settings| {
                settings.env.insert("A-B".into(), String::new());
            })
            .contains("A-B")
        );
        assert!(
            refused(|settings| {
                settings.env.insert("PATH".into(), String::new());
            })
            .contains("PATH")
        );
        let pure = Override { effect: EffectClass::Pure, ..Override::default() };
        assert!(
            refused(|settings| {
                settings.overrides.insert("add".into(), pure);
            })
            .contains("overrides.add.effect is pure")
        );
        let with_token = |url: &str| {
            let (url, token) = (Some(url.to_owned()), Some("notes-token".to_owned()));
            Settings { url, token, ..Settings::default() }.check("notes")
        };
        assert!(with_token("http://a.example/mcp").unwrap_err().to_string().contains("in clear"));
        assert!(with_token("https://a.example/mcp").is_ok() && with_token("http://127.0.0.1:8/mcp").is_ok());
        let ftp = Settings { url: Some("ftp://a.example".into()), ..Settings::default() };
        assert!(ftp.check("notes").unwrap_err().to_string().contains("url"));
        assert!(ftp.check("No Tes").unwrap_err().to_string().contains("is no name"));
    }
}
