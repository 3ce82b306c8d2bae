//! `req`: the request as scripts see it.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use http::{HeaderValue, Method, Uri, request};
use mlua::{
    AnyUserData, Error, LuaString, Result, Table, UserData, UserDataFields, UserDataMethods,
};

use super::fields::{Access, Fields, Headers, Message, Shown};
use crate::{http::path::normalize, snapshot::Snapshot};

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
    snapshot: Arc<Snapshot>,
    route: usize,
    /// What the script wants instead.
    pub(super) path: RefCell<Option<String>>,
    pub(super) query: RefCell<Option<String>>,
    pub(super) upstream: Cell<Option<usize>>,
    changed_method: Cell<bool>,
    /// Userdata of this request, made once: cleared after each hook.
    headers: RefCell<Option<AnyUserData>>,
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

impl Message for Asked {
    fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl Shown for Asked {
    fn end(&self) {
        self.close();
        self.context.take();
    }
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
            snapshot,
            route,
            path: RefCell::default(),
            query: RefCell::default(),
            upstream: Cell::default(),
            changed_method: Cell::default(),
            headers: RefCell::default(),
            context: RefCell::default(),
        })
    }

    /// A hook may look at it.
    pub(super) fn open(&self, access: Access) {
        self.fields.access.set(access);
    }

    /// No hook may any more.
    pub(super) fn close(&self) {
        self.fields.access.set(Access::None);
        self.headers.take();
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
        let found = self.snapshot.upstreams.iter().position(|one| *one.name == *name);
        let Some(index) = found else {
            return Err(Error::runtime(format!("there is no upstream `{}`", name.escape_debug())));
        };
        self.upstream.set(Some(index));
        Ok(())
    }
}

/// The request, in Lua.
pub(super) struct Req(pub(super) Rc<Asked>);

impl Req {
    fn read(&self) -> Result<&Asked> {
        self.0.fields.readable()?;
        Ok(&self.0)
    }
}

impl UserData for Req {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("headers", |lua, this| {
            let asked = this.read()?;
            let made = asked.headers.borrow().clone();
            if let Some(made) = made {
                return Ok(made);
            }
            let made = lua.create_userdata(Headers(this.0.clone()))?;
            *asked.headers.borrow_mut() = Some(made.clone());
            Ok(made)
        });
        fields.add_field_method_get("method", |lua, this| {
            lua.create_string(this.read()?.method.borrow().as_str())
        });
        fields.add_field_method_set("method", |_, this, method: LuaString| {
            this.0.set_method(&method.as_bytes())
        });
        fields.add_field_method_get("path", |lua, this| lua.create_string(this.read()?.path()));
        fields.add_field_method_set("path", |_, this, path: LuaString| {
            this.0.set_path(&path.as_bytes())
        });
        fields.add_field_method_get("query", |lua, this| {
            let asked = this.read()?;
            let set = asked.query.borrow();
            let query =
                set.as_deref().or_else(|| asked.uri.query()).filter(|query| !query.is_empty());
            query.map(|query| lua.create_string(query)).transpose()
        });
        fields.add_field_method_set("query", |_, this, query: Option<LuaString>| {
            this.0.set_query(query)
        });
        fields.add_field_method_get("host", |lua, this| {
            this.read()?.host.as_ref().map(|host| lua.create_string(host)).transpose()
        });
        fields.add_field_method_get("client_ip", |_, this| {
            Ok(this.read()?.client.map(|client| client.to_canonical().to_string()))
        });
        fields.add_field_method_get("identity", |_, this| {
            Ok(this.read()?.identity.as_deref().map(str::to_owned))
        });
        fields.add_field_method_get("id", |lua, this| {
            this.read()?.id.as_ref().map(|id| lua.create_string(id)).transpose()
        });
        fields.add_field_method_get("route", |lua, this| {
            let asked = this.read()?;
            lua.create_string(&*asked.snapshot.routes[asked.route].name)
        });
        fields.add_field_method_get("context", |lua, this| {
            let asked = this.read()?;
            let made = asked.context.borrow().clone();
            if let Some(made) = made {
                return Ok(made);
            }
            let made = lua.create_table()?;
            *asked.context.borrow_mut() = Some(made.clone());
            Ok(made)
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("upstream", |_, this, name: LuaString| this.0.choose(&name));
    }
}
