//! `CookieJar` of `k6/http`.

use std::{cell::RefCell, rc::Rc, time::Duration};

use rquickjs::{Ctx, Exception, Function, Object, Result, Value, function::Opt};

use crate::{
    clock,
    http::{Cookie, HttpError, Jar, Target},
    vm::{fiber::Handle, state},
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("jarNew", Function::new(ctx.clone(), jar_new)?)?;
    native.set("jarCurrent", Function::new(ctx.clone(), jar_current)?)?;
    native.set("jarGet", Function::new(ctx.clone(), jar_get)?)?;
    native.set("jarSet", Function::new(ctx.clone(), jar_set)?)?;
    native.set("jarDelete", Function::new(ctx.clone(), jar_delete)?)
}

/// The jar that a `CookieJar` of a script stands for.
pub(super) fn jar_of(value: &Value<'_>) -> Option<Rc<RefCell<Jar>>> {
    let handle: Value<'_> = value.as_object()?.get("handle").ok()?;
    Handle::of::<RefCell<Jar>>(&handle)
}

fn object<'js>(ctx: &Ctx<'js>, jar: Rc<RefCell<Jar>>) -> Result<Value<'js>> {
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx.clone())) };
    Handle(jar).into_object(vu.machine.prototypes().plain.clone().restore(ctx)?)
}

fn jar_new(ctx: Ctx<'_>) -> Result<Value<'_>> {
    object(&ctx, Rc::default())
}

fn jar_current(ctx: Ctx<'_>) -> Result<Value<'_>> {
    match state::current().filter(|vu| !vu.is_init.get()) {
        Some(vu) => object(&ctx, Rc::clone(&vu.jar)),
        None => Err(Exception::throw_message(&ctx, "the jar is not there in the init context")),
    }
}

fn target(ctx: &Ctx<'_>, url: &str) -> Result<Target> {
    Target::parse(url).map_err(|error| Exception::throw_message(ctx, &error.text))
}

fn jar_of_handle(ctx: &Ctx<'_>, handle: &Value<'_>) -> Result<Rc<RefCell<Jar>>> {
    Handle::of::<RefCell<Jar>>(handle).ok_or_else(|| Exception::throw_type(ctx, "not a cookie jar"))
}

fn jar_get<'js>(ctx: Ctx<'js>, handle: Value<'js>, url: String) -> Result<Object<'js>> {
    let (jar, target) = (jar_of_handle(&ctx, &handle)?, target(&ctx, &url)?);
    let all = Object::new(ctx.clone())?;
    let jar = jar.borrow();
    let found = jar.cookies_for(&target, clock::unix());
    for cookie in &found {
        let same = found.iter().filter(|other| other.name == cookie.name);
        let values: Vec<&str> = same.map(|cookie| &*cookie.value).collect();
        all.set(&*cookie.name, values)?;
    }
    Ok(all)
}

fn jar_set<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    url: String,
    name: String,
    value: String,
    options: Object<'js>,
) -> Result<bool> {
    let jar = jar_of_handle(&ctx, &handle)?;
    let target = match Target::parse(&url) {
        Ok(target) => target,
        Err(error) if error.code == HttpError::INVALID_URL => {
            return Err(Exception::throw_message(&ctx, &error.text));
        }
        // A URL, though none to which a cookie is ever sent.
        Err(_) => return Ok(true),
    };
    let text = |key: &str| options.get::<_, Option<rquickjs::Coerced<String>>>(key);
    let now = clock::unix();
    let mut cookie = Cookie {
        name,
        value,
        domain: target.host,
        path: "/".into(),
        secure: options.get::<_, Option<bool>>("secure")?.unwrap_or(false),
        http_only: options.get::<_, Option<bool>>("http_only")?.unwrap_or(false),
        ..Cookie::default()
    };
    if let Some(domain) = text("domain")? {
        cookie.domain = domain.0.trim_start_matches('.').to_ascii_lowercase();
        cookie.with_subdomains = true;
    }
    if let Some(path) = text("path")? {
        cookie.path = path.0;
    }
    if let Some(age) = options.get::<_, Option<f64>>("max_age")?.filter(|age| *age != 0.0) {
        cookie.max_age = age as i64;
        cookie.expires = Some(now.saturating_add(Duration::from_secs(age.max(0.0) as u64)));
    } else if let Some(expires) = text("expires")?.filter(|expires| !expires.0.is_empty()) {
        // k6 takes any zone's name, and no zone but one for what it says.
        let date = expires.0.rsplit_once(' ').map_or("", |(date, _)| date);
        let at = httpdate::parse_http_date(&format!("{date} GMT")).map_err(|_| {
            Exception::throw_message(
                &ctx,
                &format!("unable to parse \"expires\" date '{}'", expires.0),
            )
        })?;
        cookie.expires = Some(at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default());
    }
    jar.borrow_mut().put(cookie, now);
    Ok(true)
}

fn jar_delete<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    url: String,
    name: Opt<String>,
) -> Result<()> {
    let (jar, target) = (jar_of_handle(&ctx, &handle)?, target(&ctx, &url)?);
    jar.borrow_mut().remove(&target, name.0.as_deref());
    Ok(())
}
