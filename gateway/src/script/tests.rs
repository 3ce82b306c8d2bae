#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use http::{HeaderMap, StatusCode};
use mlua::Value;
use weir_config::model::At;

use super::{fault::Kind, response::Answered, stage::Shown, vm::Turn, *};
use crate::clock;

fn bounds() -> Bounds {
    Bounds { timeout: Duration::from_secs(20), steps: 10_000_000, memory: 16 << 20 }
}

fn try_text(text: &str, bounds: Bounds) -> Result<Script, String> {
    let script = Script::new("test.lua".into(), text.as_bytes().to_vec(), bounds);
    try_out(script, &Arc::default())
}

fn vm_within(text: &str, bounds: Bounds) -> Rc<Vm> {
    let script = Arc::new(try_text(text, bounds).unwrap_or_else(|error| panic!("{error}")));
    let shared = api::Shared::new(script.name.clone(), Arc::default());
    Rc::new(Vm::new(&script, shared).unwrap())
}

fn vm(text: &str) -> Rc<Vm> {
    vm_within(text, bounds())
}

fn of(answered: &Rc<Answered>) -> Shown {
    Shown { asked: None, answered: Some(answered.clone()) }
}

/// Runs `on_log` to its end.
fn run(vm: &Rc<Vm>) -> Result<Value, Fault> {
    end(vm.begin(Hook::Log, Shown::default()).unwrap())
}

fn end(turn: Result<Turn, Fault>) -> Result<Value, Fault> {
    let mut turn = turn?;
    loop {
        turn = match turn {
            Turn::Done(value) => return Ok(value),
            Turn::Aside(call) => call.turn(())?,
            Turn::Wait(..) => panic!("it waits"),
        };
    }
}

/// What the body of a hook returns, as a text.
fn value(body: &str) -> Result<String, Fault> {
    let vm = vm(&format!("function on_log() {body} end"));
    run(&vm).map(|value| value.to_string().unwrap())
}

fn good(body: &str) -> String {
    value(body).unwrap_or_else(|fault| panic!("{body}: {}", fault.text))
}

fn bad(body: &str) -> Fault {
    value(body).map_or_else(|fault| fault, |value| panic!("{body}: {value}"))
}

#[test]
fn a_script_has_the_language_and_no_way_out() {
    for name in [
        "os",
        "io",
        "package",
        "debug",
        "require",
        "load",
        "loadstring",
        "dofile",
        "loadfile",
        "collectgarbage",
        "coroutine",
        "getfenv",
        "setfenv",
        "newproxy",
        "gcinfo",
        "buffer",
    ] {
        assert_eq!(good(&format!("return type({name})")), "nil", "{name}");
    }
    assert_eq!(
        good("return string.rep('a', 3) .. math.floor(2.5) .. #table.concat({1, 2})"),
        "aaa22"
    );
    assert_eq!(good("return tostring(pcall(error, 'x'))"), "false");
    for change in ["string.rep = nil", "weir.kv.get = nil", "weir.x = 1", "math.huge = 1"] {
        assert!(bad(change).text.contains("readonly"), "{change}");
    }
    assert!(bad("getmetatable('').__index.rep = nil").text.contains("readonly"));
    assert!(bad("leaked = 1").text.contains("readonly"), "globals are no place to keep things");
    let kept = vm("local n = 0 function on_log() n += 1 return n end");
    run(&kept).unwrap();
    assert_eq!(run(&kept).unwrap(), Value::Integer(2));
}

#[test]
fn errors_name_the_script_and_the_line() {
    for (body, what) in [
        ("\n\nerror('boom')", "test.lua:3: boom"),
        ("local x = nil\nreturn x.y", "test.lua:2: attempt to index nil with 'y'"),
        ("\nerror({})", "test.lua:2: table: 0x"),
        ("\nreturn weir.json.decode('{')", "test.lua:2: this is no JSON"),
        ("\n\n\nreturn weir.kv.set('k', {})", "test.lua:4: a table cannot be kept"),
        ("\nreturn weir.regex('(')", "test.lua:2: this is no regular expression"),
        ("error('a\\nb')", "test.lua:1: a b"),
    ] {
        let fault = bad(body);
        assert!(fault.text.starts_with(what), "{body}: {}", fault.text);
        assert_eq!(fault.kind, Kind::Error);
    }
    assert!(bad("error(('x'):rep(100000))").text.len() <= 1_000);
}

#[test]
fn what_is_said_of_scripts_that_do_not_load() {
    for (text, what) in [
        ("function on_request(", "test.lua:1: "),
        ("local x = 1\nx = = 2", "test.lua:2: "),
        ("local x = nil\nx.y = 1", "test.lua:2: attempt to index nil"),
        ("on_request = 5", "test.lua: `on_request` is a number: expected a function"),
        ("local function on_request() end", "test.lua: it has no hook"),
        ("\u{1b}Lua", "test.lua:1: "),
        ("while true do end", "test.lua:1: it takes more steps than it may"),
        ("weir.http({ upstream = 'a' })", "test.lua:1: "),
    ] {
        let said = try_text(text, Bounds { steps: 1_000, ..bounds() }).expect_err(text);
        assert!(said.starts_with(what), "{text}: {said}");
    }
}

#[test]
fn loops_end() {
    let few = Bounds { steps: 20_000, ..bounds() };
    let brief = Bounds { timeout: Duration::from_millis(5), steps: u32::MAX, ..bounds() };
    for body in [
        "while true do end",
        "repeat until false",
        "for i = 1, math.huge do end",
        "::a:: while true do pcall(function() while true do end end) end",
        "local function f() return f() end f()",
        "while true do pcall(error) end",
        "local t = {} for i = 1, 5000 do t[i] = i % 7 end while true do table.sort(t) end",
        "setmetatable({}, { __index = function(t, k) return t[k + 1] end })[1]()",
        "return (('a'):rep(30) .. 'b'):find(('a*'):rep(30) .. 'c')",
        "for _ in (('x'):rep(1000)):gmatch('.-.-.-.-.-y') do end",
    ] {
        let body = body.trim_start_matches("::a:: ");
        let text = format!("function on_log() {body} end");
        for (bounds, what) in [(few, "`script.steps`"), (brief, "`script.timeout`")] {
            let vm = vm_within(&text, bounds);
            let began = std::hint::black_box(clock::now());
            let Err(fault) = run(&vm) else { panic!("{body}") };
            let deep = fault.text.contains("stack overflow") || fault.text.contains("C stack");
            assert!(fault.text.contains(what) || deep, "{body}: {}", fault.text);
            assert!(deep || fault.kind == Kind::Time, "{body}");
            assert!(clock::now().since(began) < Duration::from_secs(10), "{body}");
            // The VM is as good as before.
            assert!(!vm.is_worn());
        }
    }
}

#[test]
fn functions_of_the_library_do_not_run_for_long_at_once() {
    assert!(bad("table.move({}, 1, 1e9, 2)").text.contains("too many elements to move"));
    let long = "local a = ('a'):rep(4e6) return a:find(('a'):rep(2e6) .. 'b', 1, true)";
    assert!(bad(long).text.contains("too long"));
    assert_eq!(good("return ('a.b'):find('.', 1, true)"), "2");
    assert_eq!(good("local t = { 3, 1, 2 } table.sort(t) return t[1] .. t[2] .. t[3]"), "123");
    assert_eq!(good("return #(('a,b'):split(','))"), "2");
    assert_eq!(good("return table.move({ 1, 2 }, 1, 2, 2)[3]"), "2");
}

#[test]
fn memory_is_bounded_and_a_vm_that_used_it_up_is_worn() {
    let small = Bounds { memory: 4 << 20, ..bounds() };
    for body in [
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "return ('x'):rep(1e9)",
        "return table.create(1e6, 0)",
        "local s = 'x' while true do s = s .. s end",
        "local function f() return { f() } end f()",
    ] {
        let vm = vm_within(&format!("function on_log()\n\n{body} end"), small);
        let Err(fault) = run(&vm) else { panic!("{body}") };
        if fault.text.contains("stack overflow") {
            continue;
        }
        assert_eq!(fault.kind, Kind::Memory, "{body}: {}", fault.text);
        assert!(fault.text.starts_with("test.lua:3: it uses more"), "{body}: {}", fault.text);
        assert!(vm.is_worn(), "{body}");
    }
    // What is garbage at once does not count.
    let vm = vm_within("function on_log() for i = 1, 1e5 do local t = { i, {} } end end", small);
    run(&vm).unwrap();
    assert!(!vm.is_worn());
}

#[test]
fn a_long_hook_leaves_the_worker_to_others() {
    let long = Bounds { timeout: Duration::from_millis(500), steps: u32::MAX, ..bounds() };
    let vm = vm_within("function on_log() while true do end end", long);
    let mut turn = vm.begin(Hook::Log, Shown::default()).unwrap();
    let mut asides = 0;
    while let Ok(Turn::Aside(call)) = turn {
        asides += 1;
        // Another hook runs in between.
        assert!(vm.begin(Hook::Response, Shown::default()).is_none());
        turn = call.turn(());
    }
    assert!(asides > 1, "{asides}");
    assert_eq!(turn.err().map(|fault| fault.kind), Some(Kind::Time));
}

#[test]
fn json() {
    for (body, what) in [
        (
            "return weir.json.encode({ b = 1, a = { true, 'x', 1.5 } })",
            r#"{"a":[true,"x",1.5],"b":1}"#,
        ),
        ("return weir.json.encode({ n = weir.json.null })", r#"{"n":null}"#),
        ("return weir.json.encode({})", "{}"),
        ("return weir.json.decode('{\"a\":[1,{\"b\":\"c\"}]}').a[2].b", "c"),
        ("return type(weir.json.decode('null'))", "nil"),
    ] {
        assert_eq!(good(body), what);
    }
    for (body, what) in [
        ("local t = {} t[1] = t return weir.json.encode(t)", "too deep"),
        ("return weir.json.encode({ f = print })", "JSON has no function"),
        ("return weir.json.encode('\\xff')", "not UTF-8"),
        ("return weir.json.encode(1/0)", "infinite"),
        ("return weir.json.encode(('x'):rep(2^20))", "at most"),
        ("return weir.json.decode(('['):rep(1000))", "this is no JSON"),
    ] {
        assert!(bad(body).text.contains(what), "{body}");
    }
}

#[test]
fn texts_and_time() {
    assert_eq!(good("return weir.base64.encode('foob')"), "Zm9vYg==");
    assert_eq!(good("return weir.base64.encode_url('\\xfb\\xff')"), "-_8");
    assert_eq!(good("return weir.base64.decode('Zm9vYg')"), "foob");
    assert_eq!(good("return weir.hmac.equal('a', 'a')"), "true");
    assert_eq!(good("return #weir.hmac.sha512('k', 't')"), "128");
    assert_eq!(good("return weir.time.http(784111777)"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(good("return weir.time.parse('Sun, 06 Nov 1994 08:49:37 GMT')"), "784111777");
    assert_eq!(good("return weir.time.now() > 1.7e9"), "true");
    assert_eq!(good("return weir.regex('(\\\\w+)@(\\\\w+)'):match('a@b')"), "a");
    assert_eq!(good("return weir.regex('a+'):replace('caab', '<$0>')"), "c<aa>b");
    assert_eq!(good("return weir.regex('(?<n>\\\\d)'):captures('x7').n"), "7");
    assert_eq!(good("return weir.regex('^a$'):test('b')"), "false");
}

#[test]
fn responses_are_changed_within_bounds() {
    let change = |body: &str| {
        let vm = vm(&format!("function on_response(req, res) {body} end"));
        let mut headers = HeaderMap::new();
        headers.insert("x-a", "1".parse().unwrap());
        let answered = Answered::new(StatusCode::OK, headers);
        let turn = vm.begin(Hook::Response, of(&answered)).unwrap();
        end(turn)
            .map_err(|fault| fault.text)
            .map(|_| ())
            .map(|()| (answered.status.get().as_u16(), answered.take()))
    };
    let (status, headers) =
        change("res.status = 404 res.headers:set('x-b', 2) res.headers:add('x-a', 'z')").unwrap();
    assert_eq!((status, headers["x-b"].as_bytes()), (404, &b"2"[..]));
    assert_eq!(headers.get_all("x-a").iter().count(), 2);
    for (body, what) in [
        ("res.status = 99", "a status is a whole number from 200 to 599, not 99"),
        ("res.status = 'x'", "not a string"),
        ("res.status = 204", "a response with a body cannot become a 204"),
        ("res.headers:set('x\\r\\ny', '1')", "`x\\r\\ny` is no header name"),
        ("res.headers:set('x', 'a\\r\\nb: c')", "line ends included"),
        ("res.headers:set('content-length', '5')", "written by the gateway itself"),
        ("res.headers:set('x', {})", "a header value is a string, not a table"),
        ("res.headers:set('x')", "a header value is a string, not a nil"),
        ("for i = 1, 1000 do res.headers:add('x', i) end", "at most 256 fields"),
        ("res.nonsense = 1", "nonsense"),
    ] {
        let said = change(body).expect_err(body);
        assert!(said.starts_with("test.lua:1: ") && said.contains(what), "{body}: {said}");
    }
    let vm = vm(
        "local kept function on_response(_, res) if kept then return kept.status end kept = res end",
    );
    let answered = Answered::new(StatusCode::OK, HeaderMap::new());
    let first = vm.begin(Hook::Response, of(&answered)).unwrap();
    end(first).unwrap();
    answered.take();
    let stale = vm.begin(Hook::Response, Shown::default()).unwrap();
    assert!(end(stale).unwrap_err().text.contains("its hook is over"));
}

#[test]
fn edits_of_fields_wait_and_lose_nothing() {
    let run = |body: &str| {
        let vm = vm(&format!("function on_response(req, res) local h = res.headers {body} end"));
        let mut headers = HeaderMap::new();
        headers.insert("x-a", "1".parse().unwrap());
        let answered = Answered::new(StatusCode::OK, headers);
        let done = end(vm.begin(Hook::Response, of(&answered)).unwrap());
        done.map(|_| answered.take()).map_err(|fault| fault.text)
    };
    let all = |headers: &HeaderMap, name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let done =
        run("h:add('X-A', 2) h:set('x-b', 'b') h:remove('x-b') h:add('x-b', 'c d')").unwrap();
    assert_eq!(
        (all(&done, "x-a"), all(&done, "x-b")),
        (vec!["1".into(), "2".into()], vec!["c d".into()])
    );
    let text = "h:set('x-a', 'new') assert(h:get('X-A') == 'new' and h['x-a'] == 'new') \
                assert(#h:get_all('x-a') == 1 and h:all()['x-a'] == 'new') \
                assert(h['x-none'] == nil) h:set('x-a', 'newer')";
    assert_eq!(all(&run(text).unwrap(), "x-a"), ["newer"]);
    assert_eq!(all(&run("h:set('x-a', ' \t b ')").unwrap(), "x-a"), ["b"]);
    assert_eq!(all(&run("h:set('x-a', ' b c')").unwrap(), "x-a"), ["b c"]);
    let many = run("for i = 1, 200 do h:add('x-n', i) h:set('x-' .. i, ('v'):rep(i)) end");
    assert!(many.unwrap_err().contains("at most 256 fields"));
    let many = run("for i = 1, 120 do h:add('x-n', i) h:set('x-' .. i, ('v'):rep(i)) end").unwrap();
    assert_eq!((many.len(), all(&many, "x-n").len()), (241, 120));
    assert_eq!(all(&many, "x-120")[0].len(), 120);
    for (body, what) in [
        ("h['x-a'] = 'b'", "fields are written with `headers:set(name, value)`"),
        ("h.set('x-a', 'b')", "called with a colon"),
        ("res.headers = {}", "readonly"),
        ("rawset(h, 'pending', '=content-length:5\\n')", "written by the gateway itself"),
        ("rawset(h, 'pending', '=x-a:b\\r\\n')", "line ends included"),
        ("rawset(h, 'pending', 'nonsense')", "no edit of a header field"),
        ("rawset(h, 'pending', '=x-a:' .. ('b'):rep(20000))", "at most 16384 bytes"),
        ("h.hook = 0 h:get('x-a')", "its hook is over"),
    ] {
        let said = run(body).expect_err(body);
        assert!(said.starts_with("test.lua:") && said.contains(what), "{body}: {said}");
    }
}

#[test]
fn a_script_is_loaded_once_and_stays_while_it_is_the_same() {
    let config = |text: &str| model::RouteScript {
        at: At::default(),
        source: ScriptSource::Inline(text.to_owned()),
        timeout: Duration::from_secs(1),
        steps: 10_000,
        memory: 4 << 20,
        on_error: OnScriptError::Fail,
    };
    let mut first = Scripts::after(None);
    let one = config("function on_log() end");
    let a = first.load(&one, "a", None).unwrap();
    let again = first.load(&one, "a", None).unwrap();
    assert!(Arc::ptr_eq(&a.script, &again.script));
    let vms = Vms::new(&first, None);
    let vm = vms.of(&first, a.index).unwrap();

    let mut second = Scripts::after(Some(&first));
    let other = second.load(&config("function on_log() return end"), "b", Some(&first));
    let kept = second.load(&one, "a", Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&a.script, &kept.script));
    assert_eq!((other.unwrap().index, kept.index), (0, 1));
    let later = Vms::new(&second, Some((&first, &vms)));
    assert!(Rc::ptr_eq(&vm, &later.of(&second, kept.index).unwrap()));
    assert!(!Rc::ptr_eq(&vm, &later.of(&second, 0).unwrap()));

    let missing = ScriptSource::File(PathBuf::from("/nowhere/a.lua"));
    let missing = model::RouteScript { source: missing, ..one };
    let said = second.load(&missing, "c", None).unwrap_err();
    assert!(said.starts_with("cannot read `/nowhere/a.lua`"), "{said}");
}
