//! From texts to one JSON object with the script's names.

use serde_json::{Map, Value, json};

use super::OptionsError;

/// Options that say how often or how long; a layer that has one replaces all of the layers below.
const EXECUTION: &[&str] = &["duration", "iterations", "stages", "scenarios"];

/// Variable (without `K6_`) and option.
const VARIABLES: &[(&str, &str)] = &[
    ("BATCH", "batch"),
    ("BATCH_PER_HOST", "batchPerHost"),
    ("BLACKLIST_IPS", "blacklistIPs"),
    ("BLOCK_HOSTNAMES", "blockHostnames"),
    ("DISCARD_RESPONSE_BODIES", "discardResponseBodies"),
    ("DNS", "dns"),
    ("DURATION", "duration"),
    ("EXECUTION_SEGMENT", "executionSegment"),
    ("HOSTS", "hosts"),
    ("HTTP_DEBUG", "httpDebug"),
    ("HTTP_VERSION", "httpVersion"),
    ("INSECURE_SKIP_TLS_VERIFY", "insecureSkipTLSVerify"),
    ("ITERATIONS", "iterations"),
    ("LINGER", "linger"),
    ("LOCAL_IPS", "localIPs"),
    ("MAX_REDIRECTS", "maxRedirects"),
    ("MIN_ITERATION_DURATION", "minIterationDuration"),
    ("NO_CONNECTION_REUSE", "noConnectionReuse"),
    ("NO_COOKIES_RESET", "noCookiesReset"),
    ("NO_VU_CONNECTION_REUSE", "noVUConnectionReuse"),
    ("RPS", "rps"),
    ("SCENARIOS", "scenarios"),
    ("SETUP_TIMEOUT", "setupTimeout"),
    ("STAGES", "stages"),
    ("SUMMARY_TIME_UNIT", "summaryTimeUnit"),
    ("SUMMARY_TREND_STATS", "summaryTrendStats"),
    ("SYSTEM_TAGS", "systemTags"),
    ("TAGS", "tags"),
    ("TEARDOWN_TIMEOUT", "teardownTimeout"),
    ("THRESHOLDS", "thresholds"),
    ("THROW", "throw"),
    ("TLS_CIPHER_SUITES", "tlsCipherSuites"),
    ("TLS_VERSION", "tlsVersion"),
    ("USER_AGENT", "userAgent"),
    ("VUS", "vus"),
];

/// The script's own options.
pub(super) fn script(value: &Value) -> Result<Map<String, Value>, OptionsError> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(OptionsError::new("options", "must be an object"))
        }
    }
}

/// What the variables say.
pub(super) fn environment<'a>(
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Map<String, Value>, OptionsError> {
    let mut layer = Map::new();
    for (name, text) in variables {
        let known = name.strip_prefix("K6_").and_then(|name| {
            VARIABLES.iter().find(|(variable, _)| *variable == name).map(|(_, option)| *option)
        });
        if let Some(option) = known {
            let error = |problem| OptionsError::new(name, problem);
            layer.insert(option.to_owned(), parse(option, text).map_err(error)?);
        }
    }
    Ok(layer)
}

/// One layer of several, the last of which wins.
pub(super) fn merge(layers: Vec<Map<String, Value>>) -> Map<String, Value> {
    let mut merged: Map<String, Value> = Map::new();
    for layer in layers {
        let layer: Map<_, _> = layer.into_iter().filter(|(_, value)| !value.is_null()).collect();
        if EXECUTION.iter().any(|option| layer.contains_key(*option)) {
            merged.retain(|option, _| !EXECUTION.contains(&&**option));
        }
        for (option, value) in layer {
            merged.insert(option, value);
        }
    }
    merged
}

/// An option written as one text, in the shape that a script would give it. Numbers, durations and
/// booleans stay texts: scripts may write them so as well.
pub(super) fn parse(option: &str, text: &str) -> Result<Value, String> {
    let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
    match option {
        "stages" => words().map(stage).collect::<Result<_, _>>().map(Value::Array),
        "tags" | "hosts" | "dns" => {
            let pair = |word: &str| {
                let (key, value) =
                    word.split_once('=').ok_or_else(|| format!("'{word}' has no '='"))?;
                Ok((key.trim().to_owned(), json!(value.trim())))
            };
            words().map(pair).collect::<Result<_, String>>().map(Value::Object)
        }
        "blacklistIPs" | "blockHostnames" | "localIPs" | "summaryTrendStats" | "systemTags"
        | "tlsCipherSuites" => Ok(words().map(|word| json!(word)).collect()),
        "thresholds" | "scenarios" => {
            serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))
        }
        _ => Ok(json!(text)),
    }
}

fn stage(word: &str) -> Result<Value, String> {
    let (duration, target) = word
        .split_once(':')
        .ok_or_else(|| format!("stage '{word}' is not written as duration:target"))?;
    if duration.is_empty() {
        return Ok(json!({ "duration": "0s", "target": target }));
    }
    Ok(json!({ "duration": duration, "target": target }))
}
