//! Files of a directory, as what a route does.
//!
//! [`place`] makes a path of a request into one below the directory, [`disk`] finds what is there,
//! [`respond`] judges conditions and ranges (by `weir-cache`'s rules), [`body`] reads the file
//! piece by piece. Whatever may wait for a disk runs aside of the worker's thread.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use http::{HeaderValue, Method, Response, header, request};
use tokio::sync::Semaphore;
use weir_cache::{http::stored, time::Time};
use weir_config::model;

use crate::{
    error::Error,
    http::{body::Body, exchange::Exchange},
    route::{PathRewrite, RewriteError, Span, TemplateError},
    task,
};

mod body;
mod coding;
mod disk;
mod kind;
mod listing;
mod place;
mod respond;

use body::FileBody;
use disk::{Found, Sought};
use place::Place;
use respond::Respond;

/// What `Allow` says: nothing here can be changed.
pub(crate) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// Reads of one worker that may be under way: more would make threads, and a disk no faster.
pub(crate) const READS: usize = 32;

/// Files up to so many bytes are read as they are found, in one go.
const SMALL: u64 = 64 * 1024;

/// A directory of files.
#[derive(Debug)]
pub struct Files {
    rewrite: PathRewrite,
    tree: Arc<model::Files>,
}

/// A request for one of them.
pub(crate) struct Wanted {
    /// Its path, as the directory has it.
    pub(crate) path: String,
    /// Its head.
    pub(crate) head: request::Parts,
}

impl Files {
    /// What a file says of them.
    ///
    /// # Errors
    /// The paths cannot be rewritten so, or there is no such directory.
    pub(crate) fn compile(config: &model::Files, params: &[Box<str>]) -> Result<Self, String> {
        if !config.root.is_dir() {
            return Err(format!("`{}` is no directory", config.root.display()));
        }
        let wrong = |error: TemplateError| error.to_string();
        let rewrite = PathRewrite::compile(&config.rewrite, params).map_err(wrong)?;
        Ok(Self { rewrite, tree: Arc::new(config.clone()) })
    }

    /// The path as the directory has it.
    pub(crate) fn path<'a>(
        &self,
        path: &'a str,
        spans: &[Span],
    ) -> Result<Cow<'a, str>, RewriteError> {
        let rewritten = self.rewrite.apply(path, None, spans)?;
        Ok(rewritten.map_or(Cow::Borrowed(path), |target| Cow::Owned(target.path().to_owned())))
    }

    /// Whether a prefix of paths is left out.
    fn strips(&self) -> bool {
        matches!(self.tree.rewrite, model::Rewrite::StripPrefix(_))
    }

    /// The file that a path means, for people.
    pub(crate) fn describe(&self, path: &str) -> String {
        let root = self.tree.root.display();
        match Place::of(path) {
            Some(place) => format!("`{}` of {root}", place.shown()),
            None => format!("nothing of {root}: the path names nothing that is served"),
        }
    }
}

/// Answers with the file that a request asks for.
pub(crate) async fn answer(
    exchange: &mut Exchange,
    wanted: Wanted,
) -> Result<Response<Body>, Error> {
    let Wanted { path, head } = wanted;
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(Error::MethodNotAllowed);
    }
    let world = exchange.world.clone();
    let action = exchange.route.map(|route| &world.snapshot.routes[route].action);
    let Some(crate::snapshot::Action::Files(files)) = action else { return Err(Error::Bug) };
    let mut place = Place::of(&path).ok_or(Error::FileNotFound)?;
    let slashed = head.uri.path().ends_with('/');
    // What is left of the prefix alone is the directory, without the slash that it needs.
    place.is_folder &= slashed || !files.strips();
    let conditional = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE];
    let whole = head.method == Method::GET
        && !conditional.iter().any(|name| head.headers.contains_key(name));
    let sought = Sought {
        place,
        slashed,
        codings: coding::accepted(&head.headers),
        small: if whole { SMALL } else { 0 },
    };
    let reads = exchange.connection.worker.aside.reads.clone();
    let found = {
        let _turn = reads.acquire().await.map_err(|_| Error::Bug)?;
        let tree = files.tree.clone();
        task::aside(move || disk::find(&tree, &sought)).await.map_err(|_| Error::Bug)?
    };
    match found {
        Found::File(file) => Ok(file_response(exchange, &head, *file, reads)),
        Found::Folder => Ok(respond::moved(head.uri.path(), head.uri.query())),
        Found::Listing(entries) => {
            let page = listing::page(&path, &entries);
            Ok(respond::page(page, head.method == Method::HEAD))
        }
        Found::Missing => Err(Error::FileNotFound),
        Found::Forbidden => Err(Error::Denied),
        Found::Failed(error) => {
            tracing::warn!(root = %files.tree.root.display(), %error, "a file cannot be read");
            Err(Error::FileUnreadable)
        }
    }
}

fn file_response(
    exchange: &Exchange,
    head: &request::Parts,
    file: disk::Opened,
    reads: Rc<Semaphore>,
) -> Response<Body> {
    let worker = &exchange.connection.worker;
    let now = Time::from_millis(worker.calendar.borrow_mut().unix_millis(exchange.began));
    let request = stored::Request::new(&head.method, &head.headers);
    let date = worker.date().clone();
    let nonce = worker.rng.borrow_mut().u128(..);
    let Respond { status, headers, slices } =
        respond::respond(&request, &file.facts(), now, date, nonce);
    let body = match file.bytes {
        _ if slices.is_empty() => Body::empty(),
        Some(bytes) => Body::full(bytes),
        None => Body::follow(FileBody::new(file.file, slices, reads)),
    };
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}
