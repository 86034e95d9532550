//! Hints between nodes over one channel of the server: of each run its newest seq and nothing
//! else, so that whoever reads along learns nothing, and whoever writes into it can make a node
//! read its journal and nothing else.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::entropy::{Entropy, SystemEntropy};
use l9_core::id::{RunId, TenantId};
use l9_core::run::{Heard, HintWire, QUIET, Word};
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use tokio::time::timeout;

use super::server::Server;

/// The form of a message: this byte, whose it is, then [`WORD`] bytes for each hint.
const FORM: u8 = 1;
const NAME: usize = 16;
const WORD: usize = 24;

/// A connection on which nothing was heard for this long, of this process itself either, is
/// lost, whatever it says.
const SILENT: Duration = Duration::from_secs(3 * QUIET.as_secs());

/// The channel of the nodes of one database.
#[derive(Debug, Clone)]
pub struct HintChannel {
    server: Server,
    channel: String,
    /// Whose messages are this process's own.
    name: [u8; NAME],
}

impl HintChannel {
    /// The channel that all processes with the same root key have in common.
    #[must_use]
    pub fn new(server: Server, vault: &dyn Vault) -> Self {
        let token = vault.token(&TenantId::default_tenant(), "hints between nodes", b"");
        let mut name = [0; NAME];
        SystemEntropy.fill(format_args!("hints"), &mut name);
        Self { server, channel: format!("l9:hints:{}", hex::encode(&token.as_bytes()[..8])), name }
    }

    fn written(&self, words: &[Word]) -> Vec<u8> {
        let mut message = Vec::with_capacity(1 + NAME + WORD * words.len());
        message.push(FORM);
        message.extend_from_slice(&self.name);
        for word in words {
            message.extend_from_slice(word.run.as_bytes());
            message.extend_from_slice(&word.next.to_be_bytes());
        }
        message
    }

    /// What another node told; nothing if it was this one, or is in no form that is known.
    fn read(&self, message: &[u8]) -> Vec<Word> {
        let Some((&[form], rest)) = message.split_first_chunk::<1>() else { return Vec::new() };
        let Some((name, words)) = rest.split_first_chunk::<NAME>() else { return Vec::new() };
        if form != FORM || *name == self.name || words.len() % WORD != 0 {
            return Vec::new();
        }
        let word = |bytes: &[u8]| {
            let (run, next) = bytes.split_at(WORD - 8);
            Some(Word { run: RunId::from_slice(run).ok()?, next: u64::from_be_bytes(next.try_into().ok()?) })
        };
        words.chunks_exact(WORD).filter_map(word).collect()
    }
}

#[async_trait]
impl HintWire for HintChannel {
    async fn send(&self, words: &[Word]) -> Result<()> {
        self.server.publish(&self.channel, &self.written(words)).await
    }

    async fn listen(&self, hear: &(dyn for<'a> Fn(Heard<'a>) + Send + Sync)) -> Result<()> {
        let mut listening = self.server.listen(&self.channel).await?;
        hear(Heard::Nothing);
        loop {
            match timeout(SILENT, listening.next()).await {
                Ok(Some(message)) => {
                    let words = self.read(&message);
                    if !words.is_empty() {
                        hear(Heard::Words(&words));
                    }
                }
                Ok(None) | Err(_) => {
                    return Err(Error::unavailable(format!(
                        "Redis at {} tells no hints any more",
                        self.server.shown()
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Settings;
    use crate::vault::Keyring;

    fn channel(vault: &Keyring) -> HintChannel {
        HintChannel::new(Server::new(&Settings::at("redis://127.0.0.1:1")).unwrap(), vault)
    }

    #[tokio::test]
    async fn messages_are_read_as_they_were_written_and_all_else_is_nothing() {
        let vault = Keyring::ephemeral();
        let (one, two) = (channel(&vault), channel(&vault));
        assert_eq!(one.channel, two.channel, "one root key, one channel");
        assert_ne!(one.channel, channel(&Keyring::ephemeral()).channel);
        let word = |number: u8, next| Word { run: RunId::from_slice(&[number; 16]).unwrap(), next };
        let words = [word(1, 7), word(2, 0), word(3, u64::MAX)];
        let message = one.written(&words);
        assert_eq!(two.read(&message), words);
        assert_eq!(one.read(&message), [], "its own");
        assert_eq!(two.read(&one.written(&[])), []);
        for cut in 0..message.len() {
            let whole = cut > 16 && (cut - 17) % 24 == 0;
            assert!(whole || two.read(&message[..cut]).is_empty(), "{cut} bytes");
        }
        let newer = [&[2], &message[1..]].concat();
        assert_eq!(two.read(&newer), []);
    }
}
