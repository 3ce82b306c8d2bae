//! Spans as OTLP has them in JSON (OpenTelemetry protocol, "JSON Protobuf Encoding"): ids in
//! hexadecimal, 64-bit numbers as text, enums as numbers.

use serde_json::{Map, Value as Json, json};

use super::span::{Span, Value};

/// `SPAN_KIND_SERVER`.
const SERVER: u32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u32 = 2;

/// An `ExportTraceServiceRequest` with all of these.
pub(super) fn request(service: &str, version: &str, spans: &[Span]) -> Vec<u8> {
    let text = |text: &str| json!({ "stringValue": text });
    let resource = [("service.name", text(service)), ("service.version", text(version))];
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let whole = json!({ "resourceSpans": [{
        "resource": { "attributes": resource.map(|(key, value)| pair(key, &value)) },
        "scopeSpans": [{ "scope": { "name": "weir", "version": version }, "spans": spans }],
    }] });
    whole.to_string().into_bytes()
}

fn span(span: &Span) -> Json {
    let attributes = span.attributes.iter().map(|(key, value)| {
        let value = match value {
            Value::Text(text) => json!({ "stringValue": text }),
            Value::Number(number) => json!({ "intValue": number.to_string() }),
        };
        pair(key, &value)
    });
    let mut fields = Map::new();
    fields.insert("traceId".to_owned(), json!(format!("{:032x}", span.trace)));
    fields.insert("spanId".to_owned(), json!(format!("{:016x}", span.id)));
    if span.parent != 0 {
        fields.insert("parentSpanId".to_owned(), json!(format!("{:016x}", span.parent)));
    }
    fields.insert("name".to_owned(), json!(span.name));
    fields.insert("kind".to_owned(), json!(SERVER));
    fields.insert("startTimeUnixNano".to_owned(), json!(span.began.to_string()));
    fields.insert("endTimeUnixNano".to_owned(), json!(span.ended.to_string()));
    fields.insert("attributes".to_owned(), attributes.collect());
    if let Some(error) = &span.error {
        fields.insert("status".to_owned(), json!({ "code": ERROR, "message": error }));
    }
    Json::Object(fields)
}

fn pair(key: &str, value: &Json) -> Json {
    json!({ "key": key, "value": value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_what_collectors_read() {
        let span = Span {
            trace: 0xa,
            id: 0xb,
            parent: 0xc,
            name: "GET api".to_owned(),
            began: 1_000,
            ended: 3_000,
            attributes: vec![
                ("url.path", Value::Text("/a\"b".to_owned())),
                ("http.response.status_code", Value::Number(502)),
            ],
            error: Some("no endpoint".to_owned()),
        };
        let whole: Json = serde_json::from_slice(&request("edge", "1.2", &[span])).unwrap();
        let resource = &whole["resourceSpans"][0];
        let name = &resource["resource"]["attributes"][0];
        assert_eq!(*name, json!({ "key": "service.name", "value": { "stringValue": "edge" } }));
        assert_eq!(
            resource["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "0000000000000000000000000000000a",
                "spanId": "000000000000000b",
                "parentSpanId": "000000000000000c",
                "name": "GET api",
                "kind": 2,
                "startTimeUnixNano": "1000",
                "endTimeUnixNano": "3000",
                "attributes": [
                    { "key": "url.path", "value": { "stringValue": "/a\"b" } },
                    { "key": "http.response.status_code", "value": { "intValue": "502" } },
                ],
                "status": { "code": 2, "message": "no endpoint" },
            })
        );
    }

    #[test]
    fn a_trace_that_begins_here_has_no_parent() {
        let span = span(&Span { trace: 1, id: 2, ..Span::default() });
        assert_eq!(span.get("parentSpanId"), None);
        assert_eq!(span.get("status"), None);
    }
}
