//! The WebSocket interface at `/ws`: handshake, frames, connections, subscriptions.

mod frame;
mod limit;
mod settings;

mod connection;
mod handshake;
mod subscription;

pub(crate) use handshake::routes;
pub(crate) use settings::Settings;
