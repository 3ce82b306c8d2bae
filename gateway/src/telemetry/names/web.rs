//! What is counted of routes' dealings with browsers, and of codings.

use super::{Kind, Metric, metric};

const ENCODING: &[&str] = &["route", "upstream", "encoding"];

/// Requests of other origins.
pub const CORS_REQUESTS: Metric = metric(
    "weir_cors_requests_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Requests with an Origin of routes with cors: preflights answered, requests of origins that \
     are allowed, and either of those that are not",
);
/// Responses coded.
pub const COMPRESSED: Metric = metric(
    "weir_compressed_responses_total",
    Kind::Counter,
    ENCODING,
    "Responses that were compressed",
);
/// Bytes before.
pub const COMPRESSION_INPUT: Metric = metric(
    "weir_compression_input_bytes_total",
    Kind::Counter,
    ENCODING,
    "Bytes of response bodies before they were compressed",
);
/// Bytes after.
pub const COMPRESSION_OUTPUT: Metric = metric(
    "weir_compression_output_bytes_total",
    Kind::Counter,
    ENCODING,
    "Bytes of compressed response bodies sent to clients",
);
/// Requests decoded.
pub const DECOMPRESSED: Metric = metric(
    "weir_decompressed_requests_total",
    Kind::Counter,
    ENCODING,
    "Requests whose bodies were decompressed, those refused on the way among them",
);
/// Calls of gRPC-Web.
pub const GRPC_WEB_CALLS: Metric = metric(
    "weir_grpc_web_calls_total",
    Kind::Counter,
    &["route", "upstream", "form"],
    "Calls of gRPC-Web, by the form in which their clients take the answer",
);
