//! Keys of where spans go.

use super::{
    COLLECTOR,
    Fallback::{Absent, Is, Required},
    Key,
    Kind::{Pairs, Percent, Section, Text},
    Short, TIMEOUT,
};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "tracing",
        Section,
        Absent("no spans; a client's `traceparent` is passed on all the same"),
        "Spans of requests, sent to a collector of OpenTelemetry.",
    )
    .or(&[Short::Off, Short::For("otlp")]),
    Key::new(
        "tracing.otlp",
        Text(COLLECTOR),
        Required,
        "The collector, by OTLP over HTTP; `/v1/traces` is added to the path.",
    ),
    Key::new(
        "tracing.sample",
        Percent,
        Is("1%"),
        "Share of the requests without a `traceparent` that begin a trace. One that has it is in \
         its client's trace if that says so, and else in none.",
    ),
    Key::new("tracing.service", Text("a name"), Is("weir"), "What spans say as `service.name`."),
    Key::new(
        "tracing.headers",
        Pairs("header name", "value"),
        Absent("none"),
        "Sent to the collector along with the spans, such as a token; never shown.",
    ),
    Key::new("tracing.timeout", TIMEOUT, Is("5s"), "How long the collector may take to answer."),
];
