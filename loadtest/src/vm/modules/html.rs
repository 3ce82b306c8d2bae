//! Natives of `k6/html`: documents by handle, nodes by number.

use std::{collections::HashSet, rc::Rc};

use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use crate::{
    html::{Data, Document, NodeId, Selector},
    http::Target,
    vm::{
        fiber::{self, Handle},
        state,
    },
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("htmlParse", Function::new(ctx.clone(), parse)?)?;
    native.set("htmlFind", Function::new(ctx.clone(), find)?)?;
    native.set("htmlTest", Function::new(ctx.clone(), test)?)?;
    native.set("htmlWalk", Function::new(ctx.clone(), walk)?)?;
    native.set("htmlGet", Function::new(ctx.clone(), look)?)?;
    native.set("htmlAttributes", Function::new(ctx.clone(), attributes)?)?;
    native.set("urlJoin", Function::new(ctx.clone(), join)?)
}

/// Parsed on the thread's own stack: the parser needs more than is left of a script's.
fn parse<'js>(ctx: Ctx<'js>, text: String) -> Result<Value<'js>> {
    let parsing = fiber::wait(async move { Document::parse(&text) });
    let document = parsing.map_err(|_| fiber::throw_stopped(&ctx))?;
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx)) };
    Handle::object(vu.machine.prototypes().plain.clone().restore(&ctx)?, document)
}

fn document(ctx: &Ctx<'_>, value: &Value<'_>, ids: &[NodeId]) -> Result<Rc<Document>> {
    let document = Handle::of::<Document>(value);
    let document = document.filter(|document| ids.iter().all(|id| document.has(*id)));
    document.ok_or_else(|| Exception::throw_type(ctx, "not a document"))
}

fn selector(ctx: &Ctx<'_>, text: &str) -> Result<Selector> {
    Selector::parse(text).map_err(|why| Exception::throw_message(ctx, &why))
}

/// Without what was there before.
fn unique(ids: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}

/// What is in the nodes and fits.
fn find<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    ids: Vec<NodeId>,
    wanted: String,
) -> Result<Vec<NodeId>> {
    let (document, selector) = (document(&ctx, &handle, &ids)?, selector(&ctx, &wanted)?);
    let all = ids.iter().flat_map(|id| document.descendants(*id));
    Ok(unique(all.filter(|id| selector.matches(&document, *id))))
}

/// Which of the nodes fit.
fn test<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    ids: Vec<NodeId>,
    wanted: String,
) -> Result<Vec<bool>> {
    let (document, selector) = (document(&ctx, &handle, &ids)?, selector(&ctx, &wanted)?);
    Ok(ids.iter().map(|id| selector.matches(&document, *id)).collect())
}

/// What is near the nodes.
fn walk<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    ids: Vec<NodeId>,
    how: String,
) -> Result<Vec<NodeId>> {
    let document = document(&ctx, &handle, &ids)?;
    let near = |id: NodeId| -> Vec<NodeId> {
        let element = |id: &NodeId| document.is_element(*id);
        match &*how {
            "children" => document.children(id).collect(),
            "contents" => document.contents(id).collect(),
            "parent" => document.parents(id).take(1).collect(),
            "parents" => document.parents(id).collect(),
            "next" => document.behind(id).find(element).into_iter().collect(),
            "nextAll" => document.behind(id).filter(element).collect(),
            "prev" => document.before(id).find(element).into_iter().collect(),
            "prevAll" => document.before(id).filter(element).collect(),
            "nextNode" => document.behind(id).take(1).collect(),
            "prevNode" => document.before(id).take(1).collect(),
            "parentNode" => document.parent(id).into_iter().collect(),
            _ => Vec::new(),
        }
    };
    Ok(unique(ids.iter().flat_map(|id| near(*id))))
}

/// What a node says of itself.
fn look<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    id: NodeId,
    what: String,
) -> Result<Option<String>> {
    let document = document(&ctx, &handle, &[id])?;
    Ok(match &*what {
        "text" => Some(document.text(id)),
        "html" => Some(document.inner_html(id)),
        "outer" => Some(document.outer_html(id)),
        "name" => match document.data(id) {
            Data::Document => Some("#document".into()),
            Data::Doctype(name) => Some(name.clone()),
            Data::Element { name, .. } => Some(name.local.to_string()),
            Data::Text(_) => Some("#text".into()),
            Data::Comment(_) => Some("#comment".into()),
        },
        "namespace" => match document.data(id) {
            Data::Element { name, .. } => Some(name.ns.to_string()),
            Data::Document | Data::Doctype(_) | Data::Text(_) | Data::Comment(_) => None,
        },
        "value" => match document.data(id) {
            Data::Text(text) | Data::Comment(text) => Some(text.clone()),
            Data::Document | Data::Doctype(_) | Data::Element { .. } => None,
        },
        attribute => {
            let name = attribute.strip_prefix('@').unwrap_or(attribute);
            document.attribute(id, &name.to_ascii_lowercase()).map(str::to_string)
        }
    })
}

fn attributes<'js>(ctx: Ctx<'js>, handle: Value<'js>, id: NodeId) -> Result<Vec<Vec<String>>> {
    let document = document(&ctx, &handle, &[id])?;
    let all = document.attributes(id).iter();
    Ok(all.map(|(name, value)| vec![name.clone(), value.clone()]).collect())
}

/// The URL that `to` is on the page `base`.
fn join(ctx: Ctx<'_>, base: String, to: String) -> Result<String> {
    let joined = Target::parse(&base).and_then(|base| base.join(&to));
    let joined = joined.map_err(|why| Exception::throw_message(&ctx, &why.text))?;
    Ok(joined.url())
}
