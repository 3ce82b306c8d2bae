//! `req`: the request as scripts see it.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use http::{HeaderValue, Method, Uri, header, request};
use mlua::{Error, Function, Lua, LuaString, Result, Table};

use super::{
    fields::{Access, Fields, string},
    response::Answered,
    stage::{Shown, Stage},
};
use crate::{
    http::path::normalize,
    limit::key::{Subject, cookie},
    snapshot::Snapshot,
};

/// Longest path or query that a script may set, in bytes.
const TARGET_MAX: usize = 16 << 10;

/// A request, for the hooks of its route's script.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) fields: Fields,
    method: RefCell<Method>,
    uri: Uri,
    /// Its path, as routes see it, where that is not as it was sent.
    routed: Option<String>,
    host: Option<HeaderValue>,
    client: Option<IpAddr>,
    identity: Option<Box<str>>,
    id: Option<HeaderValue>,
    route: Arc<str>,
    /// Where the script may send it, if anywhere.
    snapshot: Option<Arc<Snapshot>>,
    /// What the script wants instead.
    pub(super) path: RefCell<Option<String>>,
    pub(super) query: RefCell<Option<String>>,
    pub(super) upstream: Cell<Option<usize>>,
    changed_method: Cell<bool>,
    /// What the script keeps from hook to hook.
    context: RefCell<Option<Table>>,
}

/// Who asks for what, beside the head.
pub(super) struct Facts {
    pub(super) routed: Option<String>,
    pub(super) host: Option<HeaderValue>,
    pub(super) client: Option<IpAddr>,
    pub(super) identity: Option<Box<str>>,
    pub(super) id: Option<HeaderValue>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) route: usize,
}

impl Asked {
    /// The request with this head, whose fields stay where they are until they are lent.
    pub(super) fn new(head: &request::Parts, facts: Facts) -> Rc<Self> {
        let Facts { routed, host, client, identity, id, snapshot, route } = facts;
        Rc::new(Self {
            fields: Fields::default(),
            method: RefCell::new(head.method.clone()),
            uri: head.uri.clone(),
            routed,
            host,
            client,
            identity,
            id,
            route: snapshot.routes[route].name.clone(),
            snapshot: Some(snapshot),
            path: RefCell::default(),
            query: RefCell::default(),
            upstream: Cell::default(),
            changed_method: Cell::default(),
            context: RefCell::default(),
        })
    }

    /// The request as keys see it.
    pub(super) fn of(subject: &Subject<'_>, method: Method, id: Option<HeaderValue>) -> Rc<Self> {
        let Subject { client, headers, path, query, route, identity, .. } = *subject;
        Rc::new(Self {
            fields: Fields { map: headers.clone().into(), ..Fields::default() },
            method: method.into(),
            uri: Uri::default(),
            routed: None,
            host: headers.get(header::HOST).cloned(),
            client,
            identity: identity.and_then(|identity| identity.name.clone()),
            id,
            route: route.into(),
            snapshot: None,
            path: RefCell::new(Some(path.to_owned())),
            query: RefCell::new(query.map(str::to_owned)),
            upstream: Cell::default(),
            changed_method: Cell::default(),
            context: RefCell::default(),
        })
    }

    /// What a hook sees: this request, and a response.
    pub(super) fn shown(self: &Rc<Self>, answered: Option<Rc<Answered>>) -> Shown {
        Shown { asked: Some(self.clone()), answered }
    }

    /// A hook may look at it.
    pub(super) fn open(&self, access: Access) {
        self.fields.access.set(access);
    }

    /// No hook may any more.
    pub(super) fn close(&self) {
        self.fields.access.set(Access::None);
    }

    /// What the script kept goes.
    pub(super) fn forget(&self) {
        *self.context.borrow_mut() = None;
    }

    /// What the script wanted is nothing any more: the request goes on with the `method` it had.
    pub(super) fn undo(&self, method: &Method) {
        *self.path.borrow_mut() = None;
        *self.query.borrow_mut() = None;
        self.upstream.set(None);
        self.changed_method.set(false);
        self.method.borrow_mut().clone_from(method);
    }

    /// The method that the script wants, where that is another.
    pub(super) fn wanted_method(&self) -> Option<Method> {
        self.changed_method.get().then(|| self.method.borrow().clone())
    }

    /// The path that holds now.
    fn path(&self) -> String {
        let set = self.path.borrow().clone();
        set.unwrap_or_else(|| match (&self.routed, self.uri.path()) {
            (Some(path), _) => path.clone(),
            (None, "*" | "") => "/".to_owned(),
            (None, path) => path.to_owned(),
        })
    }

    /// The query that holds now, if it has one.
    fn query(&self) -> Option<String> {
        let set = self.query.borrow();
        let query = set.as_deref().or_else(|| self.uri.query());
        query.filter(|query| !query.is_empty()).map(str::to_owned)
    }

    /// Its target, where the script wants another: path, and query.
    pub(super) fn wanted_target(&self) -> Option<(String, Option<String>)> {
        if self.path.borrow().is_none() && self.query.borrow().is_none() {
            return None;
        }
        let query = match self.query.borrow().as_deref() {
            None => self.uri.query().map(str::to_owned),
            Some("") => None,
            Some(query) => Some(query.to_owned()),
        };
        Some((self.path(), query))
    }

    fn set_method(&self, method: &[u8]) -> Result<()> {
        self.fields.writable()?;
        // Whether a response has a body hangs on those two.
        let own = |method: &Method| matches!(*method, Method::HEAD | Method::CONNECT);
        let wanted = Method::from_bytes(method).ok();
        let wanted = wanted.filter(|wanted| !own(wanted) && !own(&self.method.borrow()));
        let Some(wanted) = wanted else {
            let shown = String::from_utf8_lossy(method);
            let what = format!("`{}` is no method for this request", shown.escape_debug());
            return Err(Error::runtime(what));
        };
        self.changed_method.set(true);
        *self.method.borrow_mut() = wanted;
        Ok(())
    }

    fn set_path(&self, path: &[u8]) -> Result<()> {
        self.fields.writable()?;
        let text = std::str::from_utf8(path).ok().filter(|path| path.len() <= TARGET_MAX);
        let normal = text.and_then(|path| normalize(path).ok());
        let Some(normal) = normal else {
            let shown = String::from_utf8_lossy(&path[..path.len().min(100)]);
            let what = format!("`{}` is no path: such as `/a/b%20c`", shown.escape_debug());
            return Err(Error::runtime(what));
        };
        *self.path.borrow_mut() = Some(normal.into_owned());
        Ok(())
    }

    fn set_query(&self, query: Option<LuaString>) -> Result<()> {
        self.fields.writable()?;
        let Some(query) = query else {
            *self.query.borrow_mut() = Some(String::new());
            return Ok(());
        };
        let query = query.as_bytes();
        let visible = query.iter().all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'#');
        let text = std::str::from_utf8(&query).ok().filter(|_| visible);
        let Some(text) = text.filter(|text| text.len() <= TARGET_MAX) else {
            let what =
                "a query holds visible ASCII characters but `#`: others are encoded as `%20`";
            return Err(Error::runtime(what));
        };
        *self.query.borrow_mut() = Some(text.strip_prefix('?').unwrap_or(text).to_owned());
        Ok(())
    }

    fn choose(&self, name: &LuaString) -> Result<()> {
        self.fields.writable()?;
        let name = name.to_string_lossy();
        let upstreams = self.snapshot.iter().flat_map(|snapshot| &snapshot.upstreams);
        let found = upstreams.map(|one| &*one.name).position(|one| *one == *name);
        let Some(index) = found else {
            return Err(Error::runtime(format!("there is no upstream `{}`", name.escape_debug())));
        };
        self.upstream.set(Some(index));
        Ok(())
    }
}

/// What Lua's `req` is made of, beside its header fields.
pub(super) fn natives(lua: &Lua, stage: &Rc<Stage>, table: &Table) -> Result<()> {
    let (getters, setters) = (lua.create_table()?, lua.create_table()?);
    let text = |name: &str, read: fn(&Asked) -> Option<Cow<'_, [u8]>>| {
        let own = stage.clone();
        let get = lua.create_function(move |lua, hook: u32| {
            own.asked(hook, |asked| read(asked).map(|text| string(lua, text)).transpose())
        })?;
        getters.raw_set(name, get)
    };
    text("method", |asked| Some(asked.method.borrow().as_str().as_bytes().to_vec().into()))?;
    text("path", |asked| Some(asked.path().into_bytes().into()))?;
    text("query", |asked| asked.query().map(|query| query.into_bytes().into()))?;
    text("host", |asked| asked.host.as_ref().map(|host| host.as_bytes().into()))?;
    text("client_ip", |asked| {
        asked.client.map(|client| client.to_canonical().to_string().into_bytes().into())
    })?;
    text("identity", |asked| asked.identity.as_deref().map(|name| name.as_bytes().into()))?;
    text("id", |asked| asked.id.as_ref().map(|id| id.as_bytes().into()))?;
    text("route", |asked| Some(asked.route.as_bytes().into()))?;
    let own = stage.clone();
    let context = lua.create_function(move |lua, hook: u32| {
        own.asked(hook, |asked| {
            let made = asked.context.borrow().clone();
            if let Some(made) = made {
                return Ok(made);
            }
            let made = lua.create_table()?;
            *asked.context.borrow_mut() = Some(made.clone());
            Ok(made)
        })
    })?;
    getters.raw_set("context", context)?;
    let own = stage.clone();
    let method = lua.create_function(move |_, (hook, method): (u32, LuaString)| {
        own.asked(hook, |asked| asked.set_method(&method.as_bytes()))
    })?;
    setters.raw_set("method", method)?;
    let own = stage.clone();
    let path = lua.create_function(move |_, (hook, path): (u32, LuaString)| {
        own.asked(hook, |asked| asked.set_path(&path.as_bytes()))
    })?;
    setters.raw_set("path", path)?;
    let own = stage.clone();
    let query = lua.create_function(move |_, (hook, query): (u32, Option<LuaString>)| {
        own.asked(hook, |asked| asked.set_query(query))
    })?;
    setters.raw_set("query", query)?;
    table.raw_set("getters", getters)?;
    table.raw_set("setters", setters)
}

/// `req:upstream(name)`.
pub(super) fn chooser(lua: &Lua, stage: &Rc<Stage>) -> Result<Function> {
    let own = stage.clone();
    lua.create_function(move |_, (hook, name): (u32, LuaString)| {
        own.asked(hook, |asked| asked.choose(&name))
    })
}

/// `req:cookie(name)`.
pub(super) fn cookies(lua: &Lua, stage: &Rc<Stage>) -> Result<Function> {
    let own = stage.clone();
    lua.create_function(move |lua, (hook, name): (u32, LuaString)| {
        own.asked(hook, |asked| {
            let map = asked.fields.map.borrow();
            let value = cookie(&name.as_bytes(), &map);
            value.map(|value| string(lua, value)).transpose()
        })
    })
}
