//! What policies cost that ask something of every request: `cargo bench --bench policies`.
//!
//! A token whose key is there, from its bytes to its claims (the bar is 100 microseconds), and an
//! address among 100,000 networks (200 nanoseconds). The best mean of a few turns, one thread.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use weir_config::model::{AuthWay, JwtAuth, JwtKeys, Network};
use weir_gateway::{
    clock,
    policy::{
        auth::{keys::KeySet, token::Rules},
        cidr::NetworkSet,
    },
};

/// Turns, of which the best counts.
const TURNS: u32 = 5;
/// Tokens that are checked in each.
const TOKENS: u32 = 2_000;
/// Look-ups in each.
const LOOKUPS: u32 = 1_000_000;
/// Addresses that are looked up, one after the other: more than a cache of the processor has lines
/// for.
const PROBES: usize = 1 << 16;
/// When the tokens are checked, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn main() {
    println!("{:<44} {:>12} {:>12}", "", "ns each", "bar");
    tokens();
    networks();
}

/// The best mean of `count` calls, in nanoseconds.
fn measure(count: u32, mut call: impl FnMut(u32)) -> f64 {
    let turns = (0..TURNS).map(|_| {
        let began = clock::now();
        (0..count).for_each(&mut call);
        clock::now().nanos_since(began)
    });
    turns.min().map_or(f64::NAN, |best| best as f64 / f64::from(count))
}

fn report(name: &str, nanos: f64, bar: f64) {
    println!("{name:<44} {nanos:>12.0} {bar:>12.0}");
}

/// What the configuration makes of a way with this key.
fn configured(jwk: &str) -> JwtAuth {
    let text = format!(
        "listeners: [\":80\"]\nroutes:\n  - respond: 204\n    auth: {{ jwt: {{ keys: [{{ jwk: \
         '{jwk}' }}], algorithms: [ES256], issuer: https://id.test, audience: api, claims: {{ \
         scope: read }}, headers: {{ x-user: sub }} }} }}\n"
    );
    let mut loaded =
        weir_config::load_str("weir.yaml", &text, &|_| None).expect("the bench's file is valid");
    match loaded.config.routes[0].auth.pop() {
        Some(AuthWay::Jwt(jwt)) => *jwt,
        other => panic!("{other:?}"),
    }
}

fn tokens() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = pair.public_key().as_ref();
    let (x, y) = (&point[1..33], &point[33..]);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    let config = configured(&jwk.to_string());
    let JwtKeys::Inline(listed) = &config.keys else { panic!("the key is in the file") };
    let keys = KeySet::listed(listed).expect("the key is good");
    let rules = Rules::new(&config);
    let private = pair.to_pkcs8v1().expect("the key's own form");
    let signer = EncodingKey::from_ec_der(private.as_ref());
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::ES256) };
    let sign = |claims| encode(&header, &claims, &signer).expect("a token").into_bytes();
    let good = sign(json!({
        "iss": "https://id.test", "aud": ["web", "api"], "sub": "ann", "scope": "read write",
        "exp": NOW + 600, "iat": NOW, "jti": "9f86d081-884c-4d65-9a2f-eaa0c55ad015",
    }));
    let mut forged = good.clone();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let now = Duration::from_secs(NOW);
    for (name, token, is_good) in
        [("ES256, a good token", &good, true), ("ES256, a signature that is wrong", &forged, false)]
    {
        assert_eq!(rules.check(token, &keys, now).is_ok(), is_good, "{name}");
        let check = |_| drop(black_box(rules.check(black_box(token), &keys, now)));
        report(name, measure(TOKENS, check), 100_000.0);
    }
}

/// Networks of both versions: of IPv4 many short ranges, as lists of bad addresses have them.
fn listed(count: usize, rng: &mut fastrand::Rng) -> Vec<Network> {
    let v4 = |rng: &mut fastrand::Rng| {
        let prefix = [16, 20, 24, 24, 24, 28, 32, 32][rng.usize(..8)];
        let address = Ipv4Addr::from_bits(rng.u32(..) & (u32::MAX << (32 - prefix)));
        Network::new(address.into(), prefix as u8)
    };
    let v6 = |rng: &mut fastrand::Rng| {
        let prefix = [32, 48, 56, 64][rng.usize(..4)];
        let address = Ipv6Addr::from_bits(rng.u128(..) & (u128::MAX << (128 - prefix)));
        Network::new(address.into(), prefix as u8)
    };
    let mut networks = Vec::with_capacity(count);
    while networks.len() < count {
        networks.extend(if rng.u8(..4) == 0 { v6(rng) } else { v4(rng) });
    }
    networks
}

fn networks() {
    let rng = &mut fastrand::Rng::with_seed(11);
    for count in [100, 100_000, 1_000_000] {
        let networks = listed(count, rng);
        let set: NetworkSet = networks.iter().copied().collect();
        let hits: Vec<IpAddr> =
            (0..PROBES).map(|_| networks[rng.usize(..networks.len())].last()).collect();
        let any: Vec<IpAddr> =
            (0..PROBES).map(|_| Ipv4Addr::from_bits(rng.u32(..)).into()).collect();
        assert!(hits.iter().all(|address| set.contains(*address)));
        for (what, probes) in [("addresses of it", &hits), ("any addresses", &any)] {
            let look = |n: u32| {
                black_box(set.contains(black_box(probes[n as usize % PROBES])));
            };
            report(&format!("{count} networks, {what}"), measure(LOOKUPS, look), 200.0);
        }
    }
}
