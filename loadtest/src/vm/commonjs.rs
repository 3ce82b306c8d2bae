//! CommonJS modules, as bundlers write them.

/// Whether the source is a CommonJS module, as bundlers write them.
pub(super) fn is_common(source: &str) -> bool {
    let has_statement = source.lines().any(|line| {
        let line = line.trim_start();
        ["import ", "import{", "import\"", "import'", "import*", "export ", "export{", "export*"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    let exports = ["module.exports", "exports.default", "exports.options"];
    !has_statement && exports.iter().any(|word| source.contains(word))
}

/// The source as an ES module: a CommonJS one is wrapped, on its first line, so that lines keep
/// their numbers.
pub(super) fn as_module(source: &str) -> String {
    if !is_common(source) {
        return source.to_string();
    }
    format!(
        "const module = {{ exports: {{}} }}; (function (module, exports, require) {{ {source}\n}})\
         (module, module.exports, globalThis.require); export default module.exports;"
    )
}
