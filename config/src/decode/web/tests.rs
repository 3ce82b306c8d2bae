use crate::{
    Diagnostics, load_str,
    model::{Config, Encoding, FrameOptions, Names, Origins, Web},
};

fn load(route: &str) -> Result<(Config, Diagnostics), Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\n\
         upstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"], protocol: h2 }} }}\n\
         routes: [{{ {route} }}]\n"
    );
    load_str("weir.yaml", &file, &|_| None).map(|loaded| (loaded.config, loaded.warnings))
}

fn read(policies: &str) -> Web {
    let loaded = load(&format!("to: api, {policies}"));
    loaded.unwrap_or_else(|wrong| panic!("{wrong}")).0.routes.remove(0).web
}

fn refused(policies: &str) -> String {
    load(&format!("to: api, {policies}")).unwrap_err().render()
}

#[test]
fn short_forms_mean_what_they_say() {
    let none = "cors: off, security_headers: off, compress: off, decompress: off, grpc_web: off";
    assert_eq!(read(none), Web::default());
    let all = read(
        "cors: \"https://a.com\", security_headers: true, compress: true, decompress: true, \
         grpc_web: true",
    );
    let cors = all.cors.unwrap();
    assert_eq!(cors.methods.len(), 6);
    assert_eq!(cors.expose, Names::Of(Vec::new()));
    assert_eq!((cors.credentials, cors.private_network), (false, false));
    assert_eq!(cors.max_age.as_secs(), 600);
    let security = all.security.unwrap();
    assert_eq!(security.hsts.unwrap(), "max-age=31536000");
    assert_eq!(security.frame_options, FrameOptions::SameOrigin);
    assert!(security.nosniff && !security.replace && security.content_security_policy.is_none());
    let compress = all.compress.unwrap();
    assert_eq!(compress.encodings, [Encoding::Zstd, Encoding::Br, Encoding::Gzip]);
    assert_eq!((compress.min_size, compress.secrets), (1024, false));
    assert!(compress.types.iter().any(|range| range.subtype == "*+json"));
    let decompress = all.decompress.unwrap();
    assert_eq!((decompress.max_size, decompress.max_ratio), (None, 100));
    assert!(all.grpc_web);
    assert_eq!(read("cors: \"*\"").cors.unwrap().origins, Origins::Any);
    assert_eq!(read("cors: [\"*\"]").cors.unwrap().origins, Origins::Any);
    let Origins::Of(two) = read("cors: [\"https://a.com\", \"~ http://.*\"]").cors.unwrap().origins
    else {
        panic!("two origins");
    };
    assert_eq!(two.len(), 2);
}

#[test]
fn every_word_is_read() {
    let web = read(
        "cors: { origins: [\"https://*.a.com\"], methods: [GET], headers: \"*\", \
         expose: [retry-after], credentials: true, max_age: 0s, private_network: true }, \
         security_headers: { hsts: off, nosniff: false, frame_options: deny, referrer_policy: \
         no-referrer, permissions_policy: off, content_security_policy: \"default-src 'self'\", \
         replace: true }, \
         compress: { types: [\"*/*\"], min_size: 0B, encodings: [gzip, gzip], levels: { gzip: 9 }, \
         secrets: true }, decompress: { max_size: 1KiB, max_ratio: 5 }",
    );
    let cors = web.cors.unwrap();
    assert_eq!((cors.headers, cors.methods.len(), cors.max_age.as_secs()), (Names::Any, 1, 0));
    assert!(cors.credentials && cors.private_network);
    let security = web.security.unwrap();
    assert_eq!((security.hsts, security.permissions_policy), (None, None));
    assert_eq!(security.content_security_policy.unwrap(), "default-src 'self'");
    assert!(security.replace && !security.nosniff);
    let compress = web.compress.unwrap();
    assert_eq!(compress.encodings, [Encoding::Gzip]);
    assert_eq!((compress.levels.gzip, compress.levels.zstd, compress.min_size), (9, 3, 0));
    let decompress = web.decompress.unwrap();
    assert_eq!((decompress.max_size, decompress.max_ratio), (Some(1024), 5));
}

#[test]
fn what_cannot_work_is_refused() {
    assert!(refused("cors: { origins: \"*\", credentials: true }").contains("any site"));
    assert!(refused("cors: { origins: [\"*\", \"https://a.com\"] }").contains("stands alone"));
    assert!(refused("cors: {}").contains("`origins` is missing"));
    assert!(refused("cors: []").contains("cors: off"));
    assert!(refused("cors: a.com").contains("https://a.com"));
    let exposed = "cors: { origins: [\"https://a.com\"], credentials: true, expose: \"*\" }";
    assert!(refused(exposed).contains("name the headers"));
    assert!(refused("security_headers: { hsts: \"\" }").contains("hsts: off"));
    assert!(refused("security_headers: { frame_options: allow }").contains("sameorigin"));
    assert!(refused("compress: { types: [html] }").contains("media type"));
    assert!(refused("compress: { types: [\"text/html; q=1\"] }").contains("parameters"));
    assert!(refused("compress: { encodings: [deflate] }").contains("gzip"));
    assert!(refused("compress: { levels: { gzip: 10 } }").contains("1 to 9"));
    assert!(refused("decompress: { max_ratio: 0 }").contains("from 1"));
}

#[test]
fn what_sends_nothing_upstream_has_nothing_to_decode() {
    let own = |policy: &str| load(&format!("respond: 204, {policy}"));
    assert!(own("decompress: true").unwrap_err().render().contains("no effect"));
    assert!(own("grpc_web: true").unwrap_err().render().contains("no effect"));
    assert!(own("grpc_web: off, decompress: off, compress: true, cors: \"*\"").is_ok());
}

#[test]
fn what_is_odd_is_said() {
    let (_, warnings) = load("to: api, cors: \"null\"").unwrap();
    assert!(warnings.render().contains("sandboxed"));
    let one = "listeners: [\":80\"]\nupstreams: { api: { endpoints: [\"127.0.0.1:1\"] } }\n\
               routes: [{ to: api, grpc_web: true }]\n";
    let loaded = load_str("weir.yaml", one, &|_| None).unwrap();
    assert!(loaded.warnings.render().contains("protocol: h2"));
}
