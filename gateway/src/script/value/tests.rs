use http::HeaderMap;

use super::*;

fn loaded(texts: &[&str]) -> Scripts {
    let mut scripts = Scripts::after(None);
    for text in texts {
        scripts.load_value(text, None).unwrap_or_else(|what| panic!("{text}: {what}"));
    }
    scripts
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [("host", "a.test"), ("x-tenant", "ACME"), ("cookie", "a=b; sid=7")] {
        headers.insert(name, value.parse().unwrap());
    }
    headers
}

/// What an expression makes, and what came of it.
fn made(text: &str) -> (Option<String>, Option<Outcome>) {
    let (scripts, headers) = (loaded(&[text]), headers());
    let vms = Vms::new(&scripts, None);
    let id = HeaderValue::from_static("id-1");
    let values = Values::new(&scripts, &vms, &Method::GET, Some(&id)).unwrap();
    let subject = Subject {
        client: Some("192.0.2.7".parse().unwrap()),
        headers: &headers,
        path: "/a/b",
        query: Some("q=1"),
        route: "api",
        identity: None,
        lua: Some(&values),
    };
    let made = values.compute(text, &subject);
    (made.map(|made| String::from_utf8_lossy(&made).into_owned()), values.failed.get())
}

#[test]
fn values_are_made_of_the_request() {
    for (text, value) in [
        ("req.headers['x-tenant']:lower()", Some("acme")),
        ("req.headers:get('X-Tenant')", Some("ACME")),
        ("req.method .. req.path .. '?' .. req.query", Some("GET/a/b?q=1")),
        (
            "req.host .. ' ' .. req.client_ip .. ' ' .. req.route .. ' ' .. req.id",
            Some("a.test 192.0.2.7 api id-1"),
        ),
        ("req:cookie('sid')", Some("7")),
        ("#req.path", Some("4")),
        ("1.5", Some("1.5")),
        ("req.path == '/a/b'", Some("true")),
        ("if req.method == 'GET' then 'read' else 'write'", Some("read")),
        ("''", Some("")),
        ("\n  weir.base64.encode('a') -- as it is\n", Some("YQ==")),
        ("req.headers['x-none']", None),
        ("req.identity", None),
        ("req:cookie('none')", None),
        ("nil", None),
    ] {
        assert_eq!(made(text), (value.map(str::to_owned), None), "{text}");
    }
}

#[test]
fn what_fails_makes_nothing() {
    for (text, outcome) in [
        ("req.headers['x-none']:lower()", Outcome::Failed),
        ("{}", Outcome::Failed),
        ("function() end", Outcome::Failed),
        ("('x'):rep(5000)", Outcome::Failed),
        ("weir.http({ upstream = 'a' })", Outcome::Failed),
        ("req:upstream('a')", Outcome::Failed),
        ("req.headers:set('x-a', '1')", Outcome::Failed),
        ("(function() req.path = '/b' end)()", Outcome::Failed),
        ("(function() while true do end end)()", Outcome::TimedOut),
        ("(function() while true do pcall(error) end end)()", Outcome::TimedOut),
        ("('x'):rep(1e9)", Outcome::OutOfMemory),
    ] {
        assert_eq!(made(text), (None, Some(outcome)), "{text}");
    }
}

#[test]
fn each_is_made_once_and_for_one_request() {
    let text = "(function() n = (n or 0) + 1 return n end)()";
    assert_eq!(made(text).1, Some(Outcome::Failed), "there are no globals to keep things in");
    let text = "weir.kv.incr('n')";
    let (scripts, headers) = (loaded(&[text, text]), headers());
    assert_eq!(scripts.all.len(), 1);
    let vms = Vms::new(&scripts, None);
    for round in ["1", "2"] {
        let values = Values::new(&scripts, &vms, &Method::GET, None).unwrap();
        let subject = Subject {
            client: None,
            headers: &headers,
            path: "/",
            query: None,
            route: "api",
            identity: None,
            lua: Some(&values),
        };
        for _ in 0..3 {
            assert_eq!(values.compute(text, &subject).as_deref(), Some(round.as_bytes()));
        }
        assert_eq!(values.compute("req.unknown", &subject), None);
    }
}

#[test]
fn what_one_expression_keeps_is_not_shown_to_another() {
    let texts = ["req.context.x or 'a'", "req.context.x or 'b'"];
    let (scripts, headers) = (loaded(&texts), headers());
    let vms = Vms::new(&scripts, None);
    let values = Values::new(&scripts, &vms, &Method::GET, None).unwrap();
    let subject = Subject {
        client: None,
        headers: &headers,
        path: "/",
        query: None,
        route: "api",
        identity: None,
        lua: Some(&values),
    };
    for (text, value) in texts.into_iter().zip(["a", "b"]) {
        assert_eq!(values.compute(text, &subject).as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn what_is_no_expression_is_told() {
    for (text, what) in [
        ("req.headers[", "line 1: "),
        ("return 1", "line 1: "),
        ("local x = 1", "line 1: "),
        ("1; os.exit()", "line 1: "),
        ("1\n+\n", "line 3: "),
    ] {
        let said = Scripts::after(None).load_value(text, None).expect_err(text);
        assert!(said.starts_with(what), "{text}: {said}");
    }
    assert!(Values::new(&Scripts::after(None), &Vms::default(), &Method::GET, None).is_none());
}
