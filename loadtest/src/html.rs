//! HTML documents that scripts look at: parsed as browsers do, kept as a tree of numbered nodes.

mod select;
mod serialize;
mod sink;
mod tree;

pub(crate) use self::{
    select::Selector,
    tree::{Data, Document, NodeId},
};

#[cfg(test)]
mod tests;
