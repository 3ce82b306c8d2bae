//! HTTP/3 over a path that is long and loses datagrams: no worse through the gateway than without.
