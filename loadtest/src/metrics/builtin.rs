//! The metrics that are always there: k6's, and four of ours beside them.

use super::{Contains, Kind, MetricId};

macro_rules! metrics {
    ($(
        $id:literal $constant:ident = $name:literal $kind:ident $contains:ident, $doc:literal;
    )*) => {
        $(
            #[doc = $doc]
            pub const $constant: MetricId = MetricId($id);
        )*

        /// Name, kind and meaning, in the order of the ids.
        pub(super) const TABLE: &[(&str, Kind, Contains)] =
            &[$(($name, Kind::$kind, Contains::$contains)),*];
    };
}

metrics! {
    0 VUS = "vus" Gauge Default, "VUs that run an iteration or may begin one.";
    1 VUS_MAX = "vus_max" Gauge Default, "VUs that were made.";
    2 ITERATIONS = "iterations" Counter Default, "Iterations that ended.";
    3 ITERATION_DURATION = "iteration_duration" Trend Time, "How long one took, sleeps included.";
    4 DROPPED_ITERATIONS = "dropped_iterations" Counter Default, "Iterations never begun.";
    5 CHECKS = "checks" Rate Default, "Checks that held.";
    6 GROUP_DURATION = "group_duration" Trend Time, "How long a group took.";
    7 HTTP_REQS = "http_reqs" Counter Default, "Requests, redirects included.";
    8 HTTP_REQ_FAILED = "http_req_failed" Rate Default, "Requests whose response was unexpected.";
    9 HTTP_REQ_DURATION = "http_req_duration" Trend Time, "Sending, waiting and receiving.";
    10 HTTP_REQ_BLOCKED = "http_req_blocked" Trend Time, "Waiting for a connection.";
    11 HTTP_REQ_CONNECTING = "http_req_connecting" Trend Time, "TCP connect.";
    12 HTTP_REQ_TLS_HANDSHAKING = "http_req_tls_handshaking" Trend Time, "TLS handshake.";
    13 HTTP_REQ_SENDING = "http_req_sending" Trend Time, "Writing the request.";
    14 HTTP_REQ_WAITING = "http_req_waiting" Trend Time, "From then to the first byte.";
    15 HTTP_REQ_RECEIVING = "http_req_receiving" Trend Time, "Reading the response.";
    16 WS_SESSIONS = "ws_sessions" Counter Default, "WebSockets opened.";
    17 WS_MSGS_SENT = "ws_msgs_sent" Counter Default, "WebSocket messages sent.";
    18 WS_MSGS_RECEIVED = "ws_msgs_received" Counter Default, "WebSocket messages received.";
    19 WS_PING = "ws_ping" Trend Time, "From ping to pong.";
    20 WS_SESSION_DURATION = "ws_session_duration" Trend Time, "Life of a WebSocket.";
    21 WS_CONNECTING = "ws_connecting" Trend Time, "Opening a WebSocket.";
    22 GRPC_REQ_DURATION = "grpc_req_duration" Trend Time, "A gRPC call.";
    23 GRPC_STREAMS = "grpc_streams" Counter Default, "gRPC streams opened.";
    24 GRPC_STREAMS_MSGS_SENT = "grpc_streams_msgs_sent" Counter Default, "Messages sent on them.";
    25 GRPC_STREAMS_MSGS_RECEIVED = "grpc_streams_msgs_received" Counter Default, "And received.";
    26 DATA_SENT = "data_sent" Counter Data, "Bytes written to sockets.";
    27 DATA_RECEIVED = "data_received" Counter Data, "Bytes read from sockets.";
    28 ITERATION_LATENCY = "iteration_latency" Trend Time,
        "From the scheduled start of an iteration to its end. Ours; arrival-rate executors only.";
    29 HTTP_REQ_LATENCY = "http_req_latency" Trend Time,
        "A request's whole time, and how late its iteration began. Ours; arrival-rate only.";
    30 SCHEDULE_LAG = "schedule_lag" Trend Time,
        "How late the generator itself began an iteration for which a VU was free. Ours.";
}
