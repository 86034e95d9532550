//! Why a server gave no answer, in plain words: those of the library beneath name its types.
//!
//! Whoever shows them redacts and cuts them: a server's own words are among them.

use l9_core::Error;
use rmcp::ServiceError;
use rmcp::model::ErrorData;
use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use super::frame::UNREADABLE;

/// Why a request has no answer.
pub(super) fn of_request(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => of_refusal(error),
        ServiceError::TransportSend(error) => of_transport(error),
        ServiceError::TransportClosed => "the connection has ended".to_owned(),
        ServiceError::UnexpectedResponse => "it answered something other than what was asked".to_owned(),
        ServiceError::Cancelled { .. } => "the request was given up".to_owned(),
        ServiceError::Timeout { timeout } => format!("it took longer than {} ms", timeout.as_millis()),
        _ => "it does not keep to the protocol".to_owned(),
    }
}

/// Why a handshake failed.
pub(super) fn of_handshake(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::ConnectionClosed(_) => "it ended before the handshake was done".to_owned(),
        ClientInitializeError::TransportError { error, .. } => of_transport(error),
        ClientInitializeError::JsonRpcError(error) => of_refusal(error),
        ClientInitializeError::NoCompatibleProtocolVersion { client_supported, server_supported } => {
            let named = |versions: &[rmcp::model::ProtocolVersion]| {
                versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            let (own, other) = (named(client_supported), named(server_supported));
            format!("it speaks the versions {other} of the protocol, and L9 speaks {own}")
        }
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => of_handshake(fallback),
        ClientInitializeError::Cancelled => "it was given up".to_owned(),
        _ => "it answered something other than what was asked".to_owned(),
    }
}

/// An error that a server answered with, or one in place of an answer that cannot be read.
pub(super) fn of_refusal(error: &ErrorData) -> String {
    match error.code {
        UNREADABLE => error.message.to_string(),
        code => format!("the server answered with error {}: {}", code.0, error.message),
    }
}

fn of_transport(error: &DynamicTransportError) -> String {
    match error.error.downcast_ref::<StreamableHttpError<Error>>() {
        Some(StreamableHttpError::Client(error)) => error.to_string(),
        Some(StreamableHttpError::UnexpectedServerResponse(words)) => format!("it answered {words}"),
        Some(StreamableHttpError::SessionExpired) => "it does not know the session any more".to_owned(),
        Some(StreamableHttpError::UnexpectedEndOfStream) => "its answer ended too early".to_owned(),
        Some(_) => "its answer does not keep to the protocol".to_owned(),
        None => error.error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_name_types() {
        let transport = |error: StreamableHttpError<Error>| {
            let name = "Transport [rmcp::transport::worker::WorkerTransport<l9_tools::mcp::http::Client>]";
            DynamicTransportError::from_parts(name, std::any::TypeId::of::<()>(), Box::new(error))
        };
        let refused = ErrorData::new(rmcp::model::ErrorCode(-32603), "it broke", None);
        for (error, words) in [
            (ServiceError::McpError(refused), "the server answered with error -32603: it broke"),
            (ServiceError::TransportClosed, "the connection has ended"),
            (ServiceError::UnexpectedResponse, "it answered something other than what was asked"),
            (
                ServiceError::TransportSend(transport(StreamableHttpError::UnexpectedServerResponse(
                    "HTTP 500: x".into(),
                ))),
                "it answered HTTP 500: x",
            ),
            (
                ServiceError::TransportSend(transport(StreamableHttpError::Client(Error::unavailable("no route")))),
                "no route",
            ),
            (
                ServiceError::TransportSend(transport(StreamableHttpError::TransportChannelClosed)),
                "its answer does not keep to the protocol",
            ),
        ] {
            assert_eq!(of_request(&error), words);
        }
        let failed = ClientInitializeError::TransportError {
            error: transport(StreamableHttpError::Client(Error::unavailable("no route"))),
            context: "send initialize request".into(),
        };
        let legacy = ClientInitializeError::LegacyFallbackFailed {
            discover: Box::new(ClientInitializeError::Cancelled),
            fallback: Box::new(failed),
        };
        assert_eq!(of_handshake(&legacy), "no route");
        let other = of_handshake(&ClientInitializeError::ExpectedInitResult(None));
        assert_eq!(other, "it answered something other than what was asked");
        let versions = ClientInitializeError::NoCompatibleProtocolVersion {
            client_supported: vec![rmcp::model::ProtocolVersion::V_2025_11_25],
            server_supported: vec![rmcp::model::ProtocolVersion::V_2024_11_05],
        };
        assert_eq!(
            of_handshake(&versions),
            "it speaks the versions 2024-11-05 of the protocol, and L9 speaks 2025-11-25"
        );
    }
}
