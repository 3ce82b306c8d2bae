//! CommonJS modules, as bundlers write them.

/// Whether the source is a CommonJS module, as bundlers write them.
pub(super) fn is_common(source: &str) -> bool {
    let has_statement = source.lines().any(|line| {
        let line = line.trim_start();
        ["import ", "import{", "import\"", "import'", "import*", "export ", "export{", "export*"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    let exports = ["module.exports", "exports."];
    !has_statement && exports.iter().any(|word| source.contains(word))
}

/// The source of the file at `path` as an ES module: a CommonJS one is wrapped, on its first line,
/// so that lines keep their numbers.
pub(super) fn as_module(source: &str, path: &str) -> String {
    if !is_common(source) {
        return source.to_string();
    }
    let names: String = exported(source).map(|name| format!("{name}: $${name}, ")).collect();
    let named: String = exported(source).map(|name| format!("$${name} as {name}, ")).collect();
    let bound = match names.is_empty() {
        true => String::new(),
        false => format!("const {{ {names} }} = module.exports; export {{ {named} }};"),
    };
    format!(
        "const module = {{ exports: {{}} }}; (function (module, exports, require) {{ {source}\n}})\
         (module, module.exports, (name) => globalThis.require(name, {path})); \
         export default module.exports; {bound}",
        path = serde_json::Value::from(path),
    )
}

/// The names that the source sets on `exports`, for those who import them one by one.
fn exported(source: &str) -> impl Iterator<Item = &str> {
    let names: std::collections::BTreeSet<&str> = source
        .split("exports.")
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$')?;
            let (name, rest) = rest.split_at(end);
            let rest = rest.trim_start().strip_prefix('=')?;
            let is_name = name.starts_with(|c: char| !c.is_ascii_digit());
            (is_name && name != "default" && !rest.starts_with('=')).then_some(name)
        })
        .collect();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_set_are_exported() {
        let source = "exports.a = 1; module.exports.b=2; if (exports.c == 1) exports.default = 3;";
        assert_eq!(exported(source).collect::<Vec<_>>(), ["a", "b"]);
        let module = as_module(source, "/a/b.js");
        assert!(module.contains("export { $$a as a, $$b as b,  };"), "{module}");
        assert_eq!(as_module("export const a = 1;", "x"), "export const a = 1;");
    }
}
