//! A build that sends no requests: a manifest that grants any is refused, because nobody can
//! make what they would be sent through.

use l9_core::Result;
use l9_core::tool::Manifest;

use crate::wasm::host::State;
use crate::wasm::host::bindings::l9::tool::http;

/// What requests are sent through: nothing.
#[derive(Debug, Clone)]
pub enum Surroundings {}

/// What one call may send: nothing.
#[derive(Debug)]
pub(in crate::wasm) enum Requests {}

impl Requests {
    pub(in crate::wasm) fn of(_: &Manifest, around: &Surroundings) -> Result<Self> {
        match *around {}
    }
}

impl http::Host for State {
    async fn send(&mut self, _: http::Request) -> wasmtime::Result<Result<http::Response, http::Error>> {
        match &self.requests {
            Some(requests) => match *requests {},
            None => Ok(Err(http::Error::Denied("this build sends no requests: turn the feature `models` on".into()))),
        }
    }
}
