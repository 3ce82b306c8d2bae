//! As much of a server as scripts see, with a clock that the test winds.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use mlua::{Function, Lua, MultiValue, Value};

/// As much of a server as the script sees.
pub(crate) struct Server {
    lua: Lua,
    scripts: RefCell<HashMap<&'static str, Function>>,
    pub(crate) state: Rc<RefCell<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) now: u64,
    /// Value, and when it expires, in microseconds.
    pub(crate) keys: HashMap<String, (String, u64)>,
    /// Sorted sets: what they hold, and when they expire.
    pub(crate) sets: HashMap<String, (HashMap<String, f64>, u64)>,
    pub(crate) writes: usize,
    pub(crate) expires: bool,
}

impl State {
    fn call(&mut self, lua: &Lua, arguments: &[Value]) -> mlua::Result<Value> {
        let texts: Vec<String> = arguments.iter().map(|value| value.to_string().unwrap()).collect();
        match &*texts[0] {
            "TIME" => {
                let now = [self.now / 1_000_000, self.now % 1_000_000].map(|n| n.to_string());
                Ok(Value::Table(lua.create_sequence_from(now)?))
            }
            "GET" => match self.keys.get(&texts[1]) {
                Some((value, until)) if !self.expires || *until > self.now => {
                    lua.create_string(value).map(Value::String)
                }
                _ => Ok(Value::Boolean(false)),
            },
            "MGET" => {
                let (now, expires) = (self.now, self.expires);
                let value = |key: &String| match self.keys.get(key) {
                    Some((value, until)) if !expires || *until > now => {
                        lua.create_string(value).map(Value::String)
                    }
                    _ => Ok(Value::Boolean(false)),
                };
                let values = texts[1..].iter().map(value).collect::<mlua::Result<Vec<_>>>()?;
                Ok(Value::Table(lua.create_sequence_from(values)?))
            }
            "SET" => {
                // The first number is the moment that matters.
                let first = texts[2].split(' ').next().unwrap();
                let value = first.parse::<u64>().expect("a whole number");
                assert_eq!(texts[3], "PX");
                let until = self.now + texts[4].parse::<u64>().expect("a whole number") * 1_000;
                assert!((value + 1..=value + 2_000).contains(&until), "expires when full");
                self.keys.insert(texts[1].clone(), (texts[2].clone(), until));
                self.writes += 1;
                Ok(Value::Boolean(true))
            }
            "DEL" => Ok(Value::Boolean(self.keys.remove(&texts[1]).is_some())),
            _ => self.call_set(lua, &texts),
        }
    }
}

/// Of sorted sets, as much as is used.
impl State {
    fn call_set(&mut self, lua: &Lua, texts: &[String]) -> mlua::Result<Value> {
        let now = self.now;
        self.sets.retain(|_, (set, until)| !set.is_empty() && *until > now);
        let known = self.sets.contains_key(&texts[1]);
        let (set, until) =
            self.sets.entry(texts[1].clone()).or_insert_with(|| (HashMap::new(), u64::MAX));
        let bound = |text: &str| match text {
            "-inf" => f64::NEG_INFINITY,
            "+inf" => f64::INFINITY,
            text => text.trim_start_matches('(').parse().expect("a number"),
        };
        let within = |score: f64| {
            let (low, high) = (bound(&texts[2]), bound(&texts[3]));
            (if texts[2].starts_with('(') { score > low } else { score >= low }) && score <= high
        };
        match &*texts[0] {
            "ZADD" => {
                let score = texts[2].parse::<u64>().expect("a whole number");
                set.insert(texts[3].clone(), score as f64);
            }
            "ZREM" => texts[2..].iter().for_each(|name| _ = set.remove(name)),
            "ZREMRANGEBYSCORE" => set.retain(|_, score| !within(*score)),
            "ZRANGEBYSCORE" => {
                let names =
                    set.iter().filter(|(_, score)| within(**score)).map(|(name, _)| &**name);
                return Ok(Value::Table(lua.create_sequence_from(names.collect::<Vec<&str>>())?));
            }
            "ZCARD" => return Ok(Value::Integer(set.len() as i64)),
            "ZSCORE" => {
                return set.get(&texts[2]).map_or(Ok(Value::Boolean(false)), |score| {
                    lua.create_string(score.to_string()).map(Value::String)
                });
            }
            "PTTL" => {
                let left = if *until == u64::MAX { -1 } else { (*until - now) as i64 / 1_000 };
                return Ok(Value::Integer(left));
            }
            "PEXPIRE" => {
                assert!(known, "there is something to expire");
                *until = now + texts[2].parse::<u64>().expect("a whole number") * 1_000;
            }
            other => panic!("{other} is not called"),
        }
        Ok(Value::Boolean(true))
    }
}

impl Server {
    pub(crate) fn new(expires: bool) -> Self {
        let lua = Lua::new();
        let state = Rc::new(RefCell::new(State { expires, ..State::default() }));
        let redis = lua.create_table().unwrap();
        let called = Rc::clone(&state);
        let call = move |lua: &Lua, arguments: MultiValue| {
            called.borrow_mut().call(lua, &arguments.into_vec())
        };
        let call = lua.create_function(call).unwrap();
        redis.set("call", call.clone()).unwrap();
        redis.set("pcall", call).unwrap();
        lua.globals().set("redis", redis).unwrap();
        Self { lua, scripts: RefCell::default(), state }
    }

    /// Runs a script at `now`, and returns its reply: one number, or several.
    pub(crate) fn run(
        &self,
        script: &'static str,
        keys: &[impl ToString],
        arguments: &[impl ToString],
        now: u64,
    ) -> Vec<i64> {
        self.state.borrow_mut().now = now;
        let keys = keys.iter().map(ToString::to_string);
        let arguments = arguments.iter().map(ToString::to_string);
        let globals = self.lua.globals();
        globals.set("KEYS", self.lua.create_sequence_from(keys).unwrap()).unwrap();
        globals.set("ARGV", self.lua.create_sequence_from(arguments).unwrap()).unwrap();
        // A server cuts numbers to integers: there must be nothing to cut.
        let whole = |number: f64| {
            assert_eq!(number.fract(), 0.0);
            number as i64
        };
        let mut scripts = self.scripts.borrow_mut();
        let compile = || self.lua.load(script).into_function().unwrap();
        match scripts.entry(script).or_insert_with(compile).call(()).unwrap() {
            Value::Table(reply) => {
                reply.sequence_values().map(|number| whole(number.unwrap())).collect()
            }
            Value::Integer(number) => vec![number],
            Value::Number(number) => vec![whole(number)],
            other => panic!("{other:?} is no reply"),
        }
    }
}
