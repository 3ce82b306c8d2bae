//! The scripts against the functions they are twins of, on a server that lives in this process.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, StatusCode};
use mlua::{Lua, MultiValue, Value as LuaValue};

use super::*;
use crate::idempotency::state::{Bid, Phase, Slot};

/// Microseconds since 1970: the autumn of 2026.
const TODAY: u64 = 1_795_000_000_123_456;

macro_rules! text {
    ($file:literal) => {
        concat!(include_str!("../lua/slot.lua"), include_str!($file))
    };
}

const CLAIM: &str = text!("../lua/claim.lua");
const RENEW: &str = text!("../lua/renew.lua");
const COMPLETE: &str = text!("../lua/complete.lua");
const RELEASE: &str = text!("../lua/release.lua");
const WITHDRAW: &str = text!("../lua/withdraw.lua");
const FORSAKE: &str = text!("../lua/forsake.lua");
const LOOK: &str = text!("../lua/look.lua");
const DELETE: &str = text!("../lua/delete.lua");

type Hash = HashMap<Vec<u8>, Vec<u8>>;

/// As much of a server as the scripts see.
#[derive(Default)]
struct Keys {
    now: u64,
    /// Each with when it expires, in microseconds.
    hashes: HashMap<Vec<u8>, (Hash, Option<u64>)>,
}

impl Keys {
    fn hash(&mut self, key: &[u8]) -> Option<&mut Hash> {
        let now = self.now;
        self.hashes.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > now));
        self.hashes.get_mut(key).map(|(hash, _)| hash)
    }

    fn call(&mut self, lua: &Lua, arguments: &[LuaValue]) -> mlua::Result<LuaValue> {
        let text = |value: &LuaValue| match value {
            LuaValue::String(text) => text.as_bytes().to_vec(),
            other => other.to_string().unwrap().into_bytes(),
        };
        let texts: Vec<Vec<u8>> = arguments.iter().map(text).collect();
        let number = |text: &[u8]| str::from_utf8(text).unwrap().parse::<u64>().unwrap();
        let string = |text: Option<&Vec<u8>>| match text {
            Some(text) => lua.create_string(text).map(LuaValue::String),
            None => Ok(LuaValue::Boolean(false)),
        };
        if texts[0] == b"TIME" {
            let now = [self.now / 1_000_000, self.now % 1_000_000].map(|n| n.to_string());
            return Ok(LuaValue::Table(lua.create_sequence_from(now)?));
        }
        let key = &texts[1];
        let hash = self.hash(key);
        match &texts[0][..] {
            b"HMGET" => {
                let value = |name: &Vec<u8>| string(hash.as_ref().and_then(|hash| hash.get(name)));
                let values = texts[2..].iter().map(value).collect::<mlua::Result<Vec<_>>>()?;
                Ok(LuaValue::Table(lua.create_sequence_from(values)?))
            }
            b"HGET" => string(hash.and_then(|hash| hash.get(&texts[2]).cloned()).as_ref()),
            b"HSTRLEN" => {
                let length = hash.and_then(|hash| hash.get(&texts[2])).map_or(0, Vec::len);
                Ok(LuaValue::Integer(length as i64))
            }
            b"EXISTS" => Ok(LuaValue::Integer(hash.is_some().into())),
            b"HSET" => {
                assert!(texts.len().is_multiple_of(2));
                let (hash, _) = self.hashes.entry(key.clone()).or_default();
                for pair in texts[2..].chunks(2) {
                    hash.insert(pair[0].clone(), pair[1].clone());
                }
                Ok(LuaValue::Integer(1))
            }
            b"PEXPIRE" => {
                let expires = self.now + number(&texts[2]) * 1_000;
                self.hashes.get_mut(key).unwrap().1 = Some(expires);
                Ok(LuaValue::Integer(1))
            }
            b"PTTL" => {
                let expires = self.hashes[key].1.unwrap();
                Ok(LuaValue::Integer(((expires - self.now) / 1_000) as i64))
            }
            b"DEL" => Ok(LuaValue::Integer(self.hashes.remove(key).is_some().into())),
            other => panic!("{} is not called", String::from_utf8_lossy(other)),
        }
    }
}

struct Server {
    lua: Lua,
    keys: Rc<RefCell<Keys>>,
}

impl Server {
    fn new() -> Self {
        let lua = Lua::new();
        let keys: Rc<RefCell<Keys>> = Rc::default();
        let redis = lua.create_table().unwrap();
        let called = Rc::clone(&keys);
        let call = move |lua: &Lua, arguments: MultiValue| {
            called.borrow_mut().call(lua, &arguments.into_vec())
        };
        redis.set("call", lua.create_function(call).unwrap()).unwrap();
        let error = |lua: &Lua, text: mlua::LuaString| lua.create_table_from([("err", text)]);
        redis.set("error_reply", lua.create_function(error).unwrap()).unwrap();
        lua.globals().set("redis", redis).unwrap();
        Self { lua, keys }
    }

    fn run(&self, text: &str, key: u8, arguments: &[&[u8]], now: u64) -> Value {
        self.keys.borrow_mut().now = now;
        let string = |text: &&[u8]| self.lua.create_string(text).unwrap();
        let keys = self.lua.create_sequence_from([string(&&[key][..])]).unwrap();
        let arguments = self.lua.create_sequence_from(arguments.iter().map(string)).unwrap();
        let globals = self.lua.globals();
        globals.set("KEYS", keys).unwrap();
        globals.set("ARGV", arguments).unwrap();
        let reply = value(&self.lua.load(text).eval().unwrap());
        // Whatever is kept will be forgotten one day.
        let keys = self.keys.borrow();
        assert!(keys.hashes.values().all(|(_, expires)| expires.is_some_and(|end| end > now)));
        reply
    }
}

/// As the server would send it.
fn value(value: &LuaValue) -> Value {
    match value {
        LuaValue::Integer(number) => Value::Int(*number),
        LuaValue::Number(number) => {
            // A server cuts numbers to integers: there must be nothing to cut.
            assert_eq!(number.fract(), 0.0);
            Value::Int(*number as i64)
        }
        LuaValue::String(text) => Value::BulkString(text.as_bytes().to_vec()),
        LuaValue::Table(table) => {
            let error: Option<String> = table.get("err").unwrap();
            assert_eq!(error, None);
            let parts = table.sequence_values::<LuaValue>();
            Value::Array(parts.map(|part| self::value(&part.unwrap())).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn tick(micros: u64) -> Tick {
    Tick::from_nanos(micros * 1_000)
}

fn recording(rng: &mut fastrand::Rng) -> Arc<Recording> {
    let mut headers = HeaderMap::new();
    headers.insert("etag", format!("\"{}\"", rng.u8(..)).parse().unwrap());
    let body: Vec<u8> = (0..rng.usize(0..20)).map(|_| rng.u8(..)).collect();
    Arc::new(Recording::whole(StatusCode::CREATED, &headers, body.into()))
}

fn print(number: u8) -> Fingerprint {
    Fingerprint::new([number; 32])
}

const fn terms(redrive: bool) -> Terms {
    let (lease, ttl) = (Duration::from_millis(1_000), Duration::from_millis(4_000));
    Terms { lease, ttl, redrive, runs_unclaimed: false }
}

/// Both halves, and who has claimed what.
struct Twins {
    server: Server,
    slots: HashMap<u8, Slot<Arc<Recording>>>,
    fences: Vec<(u8, Fence)>,
    now: u64,
}

impl Twins {
    /// Does the same to both, and compares what they say and what they keep.
    fn step(&mut self, rng: &mut fastrand::Rng) {
        let Self { server, slots, fences, now } = self;
        let terms = terms(rng.u8(0..3) == 0);
        let mut key = rng.u8(0..3);
        let known = (!fences.is_empty()).then(|| {
            // Mostly one of the latest.
            let latest = if rng.bool() { 2 } else { 9 };
            let back = rng.usize(0..fences.len().min(latest));
            fences[fences.len() - 1 - back]
        });
        let op = if known.is_some() { rng.u8(0..12) } else { 0 };
        if let (Some((of, _)), 4..) = (known, op) {
            key = of;
        }
        let here = tick(*now);
        slots.retain(|_, slot| slot.expires() > here);
        let mut slot = slots.remove(&key);
        let (lease, ttl, whole) = (micros(terms.lease), millis(terms.ttl), whole(&terms));
        let fence = known.map_or_else(|| Fence::new(0, Owner::new(0)), |(_, fence)| fence);
        let (number, name) = (fence.number().to_string(), fence.owner().bytes());
        let (number, name) = (number.as_bytes(), &name[..]);
        match op {
            0..4 => {
                let name = known.filter(|_| rng.u8(0..4) == 0).map(|(_, fence)| fence.owner());
                let claimed = claim(server, key, &mut slot, (name, &terms, *now), rng);
                if let Claimed::Granted(fence) = claimed {
                    fences.push((key, fence));
                }
            }
            4..6 => {
                let expected = Slot::renew(&mut slot, fence, &terms, here);
                let arguments = [number, name, lease.as_bytes(), whole.as_bytes()];
                assert_eq!(yes(&server.run(RENEW, key, &arguments, *now)), Ok(expected));
            }
            6..8 => {
                let outcome = recording(rng);
                let encoded = outcome.encode();
                let expected = Slot::complete(&mut slot, fence, outcome, &terms, here);
                let arguments = [number, name, ttl.as_bytes(), &encoded];
                assert_eq!(yes(&server.run(COMPLETE, key, &arguments, *now)), Ok(expected));
            }
            8 => {
                let expected = Slot::release(&mut slot, fence, &terms, here);
                let arguments = [number, name, ttl.as_bytes()];
                assert_eq!(yes(&server.run(RELEASE, key, &arguments, *now)), Ok(expected));
            }
            9 => {
                let expected = Slot::withdraw(&mut slot, fence.owner(), &terms, here);
                let arguments = [name, ttl.as_bytes()];
                assert_eq!(yes(&server.run(WITHDRAW, key, &arguments, *now)), Ok(expected));
            }
            10 => {
                let expected = Slot::forsake(&mut slot, fence, &terms, here);
                let arguments = [number, name, ttl.as_bytes()];
                assert_eq!(yes(&server.run(FORSAKE, key, &arguments, *now)), Ok(expected));
            }
            _ if rng.u8(0..4) == 0 => {
                let in_flight = matches!(
                    slot.as_ref().map(|slot| slot.phase(here)),
                    Some(Phase::InFlight { .. })
                );
                let expected = if in_flight { 2 } else { i64::from(slot.is_some()) };
                slot = slot.filter(|_| in_flight);
                assert_eq!(server.run(DELETE, key, &[], *now), Value::Int(expected));
            }
            _ => {}
        }
        self.compare(key, slot);
    }

    /// Compares what both keep of a key after a step.
    fn compare(&mut self, key: u8, slot: Option<Slot<Arc<Recording>>>) {
        let here = tick(self.now);
        let Value::Array(parts) = self.server.run(LOOK, key, &[], self.now) else { panic!() };
        match &slot {
            None => assert_eq!(parts, []),
            Some(slot) => assert_eq!(seen(&parts), Some(Seen::of(slot, here).rounded())),
        }
        if let Some(slot) = slot {
            let expires = self.server.keys.borrow().hashes[&[key][..]].1.unwrap();
            assert_eq!(slot.expires(), tick(expires));
            self.slots.insert(key, slot);
        }
    }
}

/// Claims on both, perhaps by a name that was there before.
fn claim(
    server: &Server,
    key: u8,
    slot: &mut Option<Slot<Arc<Recording>>>,
    (name, terms, now): (Option<Owner>, &Terms, u64),
    rng: &mut fastrand::Rng,
) -> Claimed {
    let owner = name.unwrap_or_else(|| Owner::new(rng.u128(..)));
    let print = print(rng.u8(0..8) / 7);
    let bid = Bid { print: &print, owner, floor: now };
    let expected = Slot::claim(slot, bid, terms, tick(now));
    let (lease, whole, name) = (micros(terms.lease), whole(terms), owner.bytes());
    let redrive = if terms.redrive { &b"1"[..] } else { b"0" };
    let arguments: [&[u8]; 6] =
        [print.bytes(), &name, lease.as_bytes(), whole.as_bytes(), redrive, b"1000"];
    let said = claimed(server.run(CLAIM, key, &arguments, now), owner);
    assert_eq!(said, Ok(expected.clone()));
    expected
}

impl Seen {
    /// As a server tells it, whose keys expire in milliseconds.
    fn rounded(mut self) -> Self {
        self.expires_in = Duration::from_millis(self.expires_in.as_millis() as u64);
        self
    }
}

fn compare(seed: u64, steps_back: bool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (server, slots, fences) = (Server::new(), HashMap::new(), Vec::new());
    let mut twins = Twins { server, slots, fences, now: TODAY };
    for _ in 0..800 {
        twins.now += match rng.u8(0..30) {
            0 => rng.u64(0..6_000_000),
            1..4 => rng.u64(0..1_200_000),
            _ => rng.u64(1..100_000),
        };
        if steps_back && rng.u8(0..40) == 0 {
            twins.now -= rng.u64(0..3_000_000);
        }
        twins.step(&mut rng);
    }
}

#[test]
fn the_scripts_agree_with_the_machine() {
    (0..5).for_each(|seed| compare(seed, false));
}

#[test]
fn the_scripts_agree_when_the_clock_steps_back() {
    (100..105).for_each(|seed| compare(seed, true));
}

#[test]
fn what_is_not_ours_is_never_taken_for_absent() {
    let server = Server::new();
    let claim: [&[u8]; 6] = [b"p", b"o", b"1000000", b"5000", b"0", b"10"];
    assert!(matches!(server.run(CLAIM, 0, &claim, TODAY), Value::Array(parts) if parts.len() == 2));
    let whole = server.keys.borrow().hashes[&[0][..]].clone();
    let spoilt = |name: &str, value: Option<&str>| {
        let (mut hash, expires) = whole.clone();
        match value {
            Some(value) => hash.insert(name.into(), value.into()),
            None => hash.remove(name.as_bytes()),
        };
        server.keys.borrow_mut().hashes.insert(vec![0], (hash, expires));
        for text in [CLAIM, RENEW, COMPLETE, RELEASE, WITHDRAW, FORSAKE, LOOK, DELETE] {
            let reply: mlua::Table = server.lua.load(text).eval().unwrap();
            let error: String = reply.get("err").unwrap();
            assert!(error.starts_with("WRONGTYPE "), "{name} {error}");
        }
    };
    for name in ["p", "f", "o", "s", "l", "r"] {
        spoilt(name, None);
    }
    for (name, value) in [("f", "x"), ("s", "x"), ("l", ""), ("r", "2")] {
        spoilt(name, Some(value));
    }
    let foreign = HashMap::from([(b"x".to_vec(), b"1".to_vec())]);
    server.keys.borrow_mut().hashes.insert(vec![0], (foreign, Some(TODAY + 1)));
    let reply: mlua::Table = server.lua.load(CLAIM).eval().unwrap();
    assert!(reply.contains_key("err").unwrap());
}

#[test]
fn a_recording_beyond_all_bounds_is_not_sent() {
    let server = Server::new();
    let claim: [&[u8]; 6] = [b"p", b"o", b"1000000", b"5000", b"0", b"10"];
    let Value::Array(parts) = server.run(CLAIM, 0, &claim, TODAY) else { panic!() };
    let number = TODAY.to_string();
    assert_eq!(parts[1], Value::Int(TODAY as i64));
    let long: [&[u8]; 4] = [number.as_bytes(), b"o", b"1000", b"eleven byte"];
    assert_eq!(server.run(COMPLETE, 0, &long, TODAY), Value::Int(1));
    let reply: mlua::Table = {
        let arguments = claim.map(|text| server.lua.create_string(text).unwrap());
        let arguments = server.lua.create_sequence_from(arguments).unwrap();
        server.lua.globals().set("ARGV", arguments).unwrap();
        server.lua.load(CLAIM).eval().unwrap()
    };
    assert!(reply.contains_key("err").unwrap());
}

#[test]
fn a_reply_to_something_else_is_noticed() {
    let int = Value::Int;
    let owner = Owner::new(1);
    let replies = [
        Value::Nil,
        int(1),
        Value::Array(vec![]),
        Value::Array(vec![int(0)]),
        Value::Array(vec![int(1)]),
        Value::Array(vec![int(1), int(-1)]),
        Value::Array(vec![int(4), Value::Nil]),
        Value::Array(vec![int(4), Value::BulkString(b"x".to_vec())]),
        Value::Array(vec![int(6)]),
    ];
    for reply in replies {
        assert!(claimed(reply.clone(), owner).is_err(), "{reply:?}");
        assert!(yes(&reply).is_err() || reply == int(1), "{reply:?}");
        assert_eq!(seen(&[reply]), None);
    }
}

#[test]
fn lengths_are_whole_and_bounded() {
    assert_eq!(micros(Duration::from_nanos(1_999)), "1");
    assert_eq!(millis(Duration::ZERO), "1");
    assert_eq!(millis(Duration::from_micros(1_001)), "2");
    let longest = Terms { lease: Duration::MAX, ttl: Duration::MAX, ..terms(false) };
    let milliseconds = 10 * 365 * 86_400_000_u64;
    assert_eq!(whole(&longest), milliseconds.to_string());
    assert_eq!(micros(Duration::MAX), (milliseconds * 1_000).to_string());
    assert!(TODAY + 2 * milliseconds * 1_000 < 1 << 53);
}
