//! `routes[].script`.

use super::Decoder;
use crate::{
    fields::Fields,
    model::{OnScriptError, RouteScript, ScriptSource},
};

/// Longest text of a script, in bytes.
pub(crate) const SCRIPT_MAX: usize = 1 << 20;

/// A route's script; `None` is none.
pub(super) fn route(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<RouteScript> {
    let fields = route.policy(d, "script", "routes[].script")?;
    let file = fields.path(d, "file");
    let inline = fields.at(d, "inline", |d, node| {
        let text = d.text(node, "the text of a Lua script")?;
        if text.len() > SCRIPT_MAX {
            d.report.error(node.span, "a script has at most 1 MiB");
        }
        Some(text.to_owned())
    });
    let timeout = fields.duration(d, "timeout");
    let steps = fields.count(d, "steps");
    let memory = fields.size(d, "memory");
    let on_error = match fields.choice(d, "on_error") {
        "pass" => OnScriptError::Pass,
        _ => OnScriptError::Fail,
    };
    fields.finish();
    let (at, source) = match (fields.entry("file"), fields.entry("inline")) {
        (Some(_), Some(entry)) => {
            let what = "`file` and `inline` exclude each other: a script has one text";
            d.report.error(entry.key.span, what);
            return None;
        }
        (Some(entry), None) => (entry.value.span.at(), ScriptSource::File(file?)),
        (None, Some(entry)) => (entry.value.span.at(), ScriptSource::Inline(inline.flatten()?)),
        (None, None) => {
            fields.missing(d, "file", "such as `script: headers.lua`, or `script: off`");
            return None;
        }
    };
    Some(RouteScript { at, source, timeout, steps, memory, on_error })
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::load_str;

    fn read(script: &str) -> Result<Option<RouteScript>, String> {
        let text = format!(
            "listeners: [\":0\"]\nupstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes:\n  - to: a\n    script: {script}\n"
        );
        let loaded = load_str("weir.yaml", &text, &|_| None);
        let loaded = loaded.map_err(|wrong| wrong.iter().map(|one| one.what.clone()).collect());
        loaded.map(|mut loaded| loaded.config.routes.remove(0).script)
    }

    #[test]
    fn a_script_is_a_file_or_a_text() {
        let short = read("hooks/a.lua").unwrap().unwrap();
        assert_eq!(short.source, ScriptSource::File(PathBuf::from("hooks/a.lua")));
        assert_eq!((short.timeout, short.steps), (Duration::from_millis(50), 1_000_000));
        assert_eq!((short.memory, short.on_error), (16 << 20, OnScriptError::Fail));
        assert_eq!(short.at.line, 5);
        let long = "{ inline: 'x = 1', timeout: 5ms, steps: 5000, memory: 4MiB, on_error: pass }";
        let long = read(long).unwrap().unwrap();
        assert_eq!(long.source, ScriptSource::Inline("x = 1".to_owned()));
        assert_eq!((long.timeout, long.steps), (Duration::from_millis(5), 5_000));
        assert_eq!((long.memory, long.on_error), (4 << 20, OnScriptError::Pass));
        assert_eq!(read("off").unwrap(), None);
    }

    #[test]
    fn what_is_said_of_scripts_that_cannot_be() {
        let cases = [
            ("{ file: a.lua, inline: x }", "`file` and `inline` exclude each other"),
            ("{ timeout: 5ms }", "`file` is missing in `routes[0].script`"),
            ("\"\"", "expected the path of a file, found an empty text"),
            ("{ file: a.lua, memory: 1KiB }", "`memory` is from 2MiB to 1GiB"),
            ("{ file: a.lua, on_error: retry }", "unknown value `retry` for `on_error`"),
            ("{ file: a.lua, instructions: 5 }", "unknown key `instructions`"),
        ];
        for (script, what) in cases {
            let said = read(script).expect_err(script);
            assert!(said.contains(what), "{script}: {said}");
        }
    }
}
