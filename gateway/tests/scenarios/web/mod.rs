//! What routes do for browsers, and with codings of bodies.

mod compress;
mod cors;
mod decompress;
mod grpc_web;
mod protocols;

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
};

use crate::support::{
    answer::Answer,
    gateway::{Gateway, Setup},
};

/// The gateway of `examples/web.yaml`, before these.
fn example(app: SocketAddr, calls: SocketAddr) -> Gateway {
    let text = include_str!("../../../../examples/web.yaml");
    let text = text
        .replace("listeners: [\":8080\"]", "admin: { bind: \"$ADMIN\" }\nlisteners: [\"$LISTEN\"]")
        .replace("127.0.0.1:9001", &app.to_string())
        .replace("127.0.0.1:9002", &calls.to_string());
    assert!(text.contains("$LISTEN"), "the example has another listener");
    Setup::yaml(&text).start()
}

/// Sends a request with these field lines on a connection of its own.
fn ask(gateway: &Gateway, method: &str, target: &str, fields: &str) -> Answer {
    let mut client = gateway.client();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n");
    client.send(head.as_bytes());
    client.answer(method).unwrap()
}

/// Sends a body in one piece.
fn send(gateway: &Gateway, target: &str, fields: &str, body: &[u8]) -> Answer {
    let mut client = gateway.client();
    let length = body.len();
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: weir.test\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    // A body that is refused need not be read to its end.
    let _ = client.try_send(&[head.as_bytes(), body].concat());
    client.answer("PUT").unwrap()
}

/// All that a decoder makes of bytes that may go on.
fn decoded(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => drop(flate2::read::GzDecoder::new(coded).read_to_end(&mut out)),
        "br" => drop(brotli::Decompressor::new(coded, 4096).read_to_end(&mut out)),
        "zstd" => {
            let mut context = zstd_safe::DCtx::create();
            let mut input = zstd_safe::InBuffer::around(coded);
            out.reserve(16 << 20);
            let mut output = zstd_safe::OutBuffer::around(&mut out);
            while input.pos() < coded.len() {
                context.decompress_stream(&mut output, &mut input).unwrap();
            }
        }
        other => panic!("{other}"),
    }
    out
}

fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::new(6);
    match coding {
        "gzip" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        }
        "deflate" => {
            let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        }
        "br" => {
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            writer.write_all(plain).unwrap();
            writer.into_inner()
        }
        "zstd" => {
            let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
            zstd_safe::compress(&mut out, plain, 3).unwrap();
            out
        }
        other => panic!("{other}"),
    }
}

/// Text that is neither all alike nor all different.
fn text(length: usize) -> String {
    let mut text = String::with_capacity(length + 32);
    let mut number = 7_u32;
    while text.len() < length {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&format!("<p class=\"line\">{}</p>\n", number >> 12));
    }
    text.truncate(length);
    text
}
