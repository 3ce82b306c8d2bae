//! Keys of who may use a route.

use super::{
    Fallback::{self, Absent, Is, Required},
    Key,
    Kind::{Choice, Choices, Duration, Flag, Pairs, Secret, Section, Sections, Size, Text, Texts},
    PEM, Short, TIMEOUT, VALUE,
};

/// What a network looks like.
pub(crate) const NETWORK: &str =
    "an address or a network such as `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`";
/// What the place of a credential looks like.
pub(crate) const CREDENTIAL: &str = "`header:N`, `cookie:N` or `query:N`, `N` being a name";
/// What the source of a set of keys looks like.
pub(crate) const JWKS: &str =
    "a URL such as `https://id.example.com/keys.json`, or the path of a file";
/// What a condition on a certificate looks like.
pub(crate) const SUBJECT: &str = "`cn:`, `dns:`, `uri:`, `email:` or `subject:` with an exact \
                                  value, `*` for any, or `~ regex`";
/// What the SHA-256 of a key looks like.
pub(crate) const SHA256: &str = "64 hexadecimal digits";

const HEADER: &str = "a header name";
const LIST_FILE: &str = "the path of a file, relative to this file";
const NOT_READ: Fallback = Absent("no file is read");
const ONE_WAY: Fallback = Absent("one of the kinds is required");
const ONE_KEY: Fallback = Absent("one of `pem`, `secret`, `jwk` is required");

const ALGORITHMS: &[&str] = &[
    "ES256", "ES384", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256",
    "HS384", "HS512",
];

pub(super) const NETWORKS: &[Key] = &[
    Key::new(
        "routes[].allow",
        Section,
        Absent("any address"),
        "The only addresses of clients that may use the route; all others are answered 403. The \
         address is the one that `trusted_hops` or a PROXY header of the listener tells.",
    )
    .or(&[Short::Off, Short::ListFor("networks"), Short::For("networks")]),
    Key::new("routes[].allow.networks", Texts(NETWORK), Absent("none"), "Networks."),
    Key::new(
        "routes[].allow.file",
        Text(LIST_FILE),
        NOT_READ,
        "A file with one network a line, and comments behind `#`; read again when it changes.",
    ),
    Key::new(
        "routes[].deny",
        Section,
        Absent("no address"),
        "Addresses of clients that may not use the route, whatever `allow` says.",
    )
    .or(&[Short::Off, Short::ListFor("networks"), Short::For("networks")]),
    Key::new("routes[].deny.networks", Texts(NETWORK), Absent("none"), "Networks."),
    Key::new(
        "routes[].deny.file",
        Text(LIST_FILE),
        NOT_READ,
        "A file with one network a line, and comments behind `#`; read again when it changes.",
    ),
];

pub(super) const AUTH: &[Key] = &[
    Key::new(
        "routes[].auth",
        Sections,
        Absent("nobody is asked who they are"),
        "How clients say who they are: a request passes by any one of these. Without a good \
         credential it is answered 401.",
    )
    .or(&[Short::Off, Short::One]),
    Key::new("routes[].auth[].jwt", Section, ONE_WAY, "A signed token (RFC 7519)."),
    Key::new("routes[].auth[].api_key", Section, ONE_WAY, "A key out of a list."),
    Key::new("routes[].auth[].basic", Section, ONE_WAY, "A name and a password (RFC 7617)."),
    Key::new(
        "routes[].auth[].mtls",
        Section,
        ONE_WAY,
        "A certificate that the listener's `client_ca` vouches for.",
    )
    .or(&[Short::On, Short::ListFor("subjects")]),
    Key::new("routes[].auth[].forward", Section, ONE_WAY, "Another service decides.")
        .or(&[Short::For("to")]),
    Key::new(
        "routes[].auth[].jwt.keys",
        Sections,
        Absent("one of `keys` and `jwks` is required"),
        "Keys that signatures are checked with.",
    )
    .or(&[Short::One]),
    Key::new(
        "routes[].auth[].jwt.keys[].kid",
        Text("a text"),
        Absent("any token may be signed with it that names none"),
        "Name of the key, as tokens say it.",
    ),
    Key::new(
        "routes[].auth[].jwt.keys[].pem",
        Text("a public key or a certificate in PEM"),
        ONE_KEY,
        "A public key, or a certificate with one.",
    ),
    Key::new(
        "routes[].auth[].jwt.keys[].secret",
        Secret,
        ONE_KEY,
        "A secret that issuer and gateway share: at least as long as the hash of its algorithm.",
    ),
    Key::new("routes[].auth[].jwt.keys[].jwk", Secret, ONE_KEY, "A key in JSON (RFC 7517)."),
    Key::new(
        "routes[].auth[].jwt.jwks",
        Section,
        Absent("one of `keys` and `jwks` is required"),
        "A set of keys (RFC 7517) elsewhere.",
    )
    .or(&[Short::For("from")]),
    Key::new(
        "routes[].auth[].jwt.jwks.from",
        Text(JWKS),
        Required,
        "Where it is. A file may also hold public keys in PEM; it is read again when it changes.",
    ),
    Key::new(
        "routes[].auth[].jwt.jwks.refresh",
        Duration(1_000, 7 * 24 * 3_600_000),
        Is("10m"),
        "How long a set from a URL is used before it is fetched again. A token with an unknown \
         `kid` has it fetched at once, at most every 10 seconds; while that fails, the last good \
         set stays in use.",
    ),
    Key::new(
        "routes[].auth[].jwt.jwks.timeout",
        TIMEOUT,
        Is("5s"),
        "How long fetching may take, and how long a request waits for it.",
    ),
    Key::new(
        "routes[].auth[].jwt.jwks.ca",
        Text(PEM),
        Absent("the authorities of the machine"),
        "Authorities that the server of an `https` URL is trusted by.",
    ),
    Key::new(
        "routes[].auth[].jwt.algorithms",
        Choices(ALGORITHMS),
        Required,
        "How tokens may be signed. A key is only ever used with algorithms of its own kind.",
    ),
    Key::new(
        "routes[].auth[].jwt.issuer",
        Texts("the `iss` of tokens"),
        Absent("any issuer"),
        "Who may have issued a token: `iss` is one of these.",
    ),
    Key::new(
        "routes[].auth[].jwt.audience",
        Texts("an `aud` of tokens"),
        Absent("any audience"),
        "Whom a token may be for: `aud` holds one of these.",
    ),
    Key::new(
        "routes[].auth[].jwt.leeway",
        Duration(0, 3_600_000),
        Is("60s"),
        "How far the issuer's clock may be off, for `exp` and `nbf`.",
    ),
    Key::new(
        "routes[].auth[].jwt.require_exp",
        Flag,
        Is("true"),
        "Whether a token must say when it ends (`exp`).",
    ),
    Key::new(
        "routes[].auth[].jwt.claims",
        Pairs("claim, or names of objects and a claim in them, with dots", VALUE),
        Absent("no condition"),
        "What must hold of its claims, each of a list, or the answer is 403. Of a claim that is a \
         list, or a `scope`, one entry or word has to fit.",
    ),
    Key::new(
        "routes[].auth[].jwt.headers",
        Pairs("header name", "claim"),
        Absent("none"),
        "Claims that go upstream as request headers. What clients send under these names never \
         does.",
    ),
    Key::new(
        "routes[].auth[].jwt.token",
        Texts(CREDENTIAL),
        Is("header:authorization"),
        "Where a token is looked for; the first place that has one counts. In `authorization` it \
         follows the word `Bearer`.",
    ),
    Key::new(
        "routes[].auth[].jwt.max_token",
        Size(64, 64 << 10),
        Is("8KiB"),
        "Longest token that is looked at.",
    ),
    Key::new(
        "routes[].auth[].jwt.identity",
        Text("a claim"),
        Is("sub"),
        "Claim that is the client's `identity`.",
    ),
    Key::new(
        "routes[].auth[].api_key.header",
        Text(HEADER),
        Absent("`x-api-key`, without `query`"),
        "Header that carries a key.",
    ),
    Key::new(
        "routes[].auth[].api_key.query",
        Text("the name of a parameter"),
        Absent("no parameter"),
        "Query parameter that carries a key; it stands in logs, so better a header.",
    ),
    Key::new("routes[].auth[].api_key.keys", Sections, Absent("none"), "Keys and whose they are."),
    Key::new(
        "routes[].auth[].api_key.keys[].name",
        Text("a text"),
        Required,
        "Whose it is: the client's `identity`. Several keys may have one name.",
    ),
    Key::new(
        "routes[].auth[].api_key.keys[].sha256",
        Text(SHA256),
        Required,
        "SHA-256 of the key, as `printf %s KEY | sha256sum` prints it.",
    ),
    Key::new(
        "routes[].auth[].api_key.file",
        Text(LIST_FILE),
        NOT_READ,
        "A file with a name and a hash a line, and comments behind `#`; read again when it \
         changes.",
    ),
    Key::new(
        "routes[].auth[].basic.users",
        Pairs("name", "a hash of bcrypt or argon2id"),
        Required,
        "Names with hashes of passwords, or the path of an htpasswd file with them, which is read \
         again when it changes.",
    )
    .or(&[Short::As("the path of an htpasswd file")]),
    Key::new(
        "routes[].auth[].basic.realm",
        Text("a text"),
        Is("weir"),
        "What clients are told that the password is for.",
    ),
    Key::new(
        "routes[].auth[].mtls.subjects",
        Texts(SUBJECT),
        Absent("every certificate"),
        "Whose certificates: one of these holds.",
    ),
    Key::new(
        "routes[].auth[].forward.to",
        Text("the name of an upstream"),
        Required,
        "Upstream that decides: a 2xx lets the request pass, anything else is the answer.",
    ),
    Key::new(
        "routes[].auth[].forward.path",
        Text("a path such as `/auth`"),
        Is("/"),
        "What it is asked for, by GET; the request's own are in `X-Forwarded-Method`, \
         `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Uri`.",
    ),
    Key::new(
        "routes[].auth[].forward.request_headers",
        Texts(HEADER),
        Is("authorization, cookie"),
        "Fields of the request that it sees.",
    ),
    Key::new(
        "routes[].auth[].forward.response_headers",
        Texts(HEADER),
        Absent("none but `identity`"),
        "Fields of its answer that go upstream with the request. What clients send under these \
         names never does.",
    ),
    Key::new(
        "routes[].auth[].forward.identity",
        Text(HEADER),
        Is("remote-user"),
        "Field of its answer that is the client's `identity`; it goes upstream as well.",
    ),
    Key::new("routes[].auth[].forward.timeout", TIMEOUT, Is("5s"), "How long it may take."),
    Key::new(
        "routes[].auth[].forward.max_body",
        Size(0, 1 << 20),
        Is("64KiB"),
        "Longest body of an answer that is passed on to the client; of a longer one none is.",
    ),
    Key::new(
        "routes[].auth[].forward.on_failure",
        Choice(&["deny", "allow"]),
        Is("deny"),
        "While it cannot be asked: 503, or requests pass without an identity.",
    ),
];
