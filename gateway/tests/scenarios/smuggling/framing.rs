//! Content-Length and Transfer-Encoding of requests.

use super::{BAD, Bench, Want, smuggled, with_body, with_fields};

const NO: Want = Want::RefusedAndClosed(&[400, 501]);

#[test]
fn any_transfer_encoding_but_one_chunked_is_refused() {
    let values = [
        "gzip, chunked",
        "chunked, chunked",
        "cow, chunked",
        "chunked, gzip",
        "chunked, identity",
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "chunked ; a",
        ",chunked",
        "chunked,",
        ", chunked ,",
        "\"chunked\"",
        "'chunked'",
        "chun ked",
        "chunked chunked",
        "chunked/1",
        "",
        "\u{b}chunked",
        "\0chunked",
        "chunked\r\n ",
        "\r\n chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding:",
    ];
    let mut bench = Bench::new();
    let body = format!("0\r\n\r\n{}", smuggled());
    let mut failures = Vec::new();
    for value in values {
        let bytes = with_body(&format!("Transfer-Encoding: {value}\r\n"), &body);
        failures.extend(bench.case(&format!("{value:?}"), &bytes, NO).err());
    }
    crate::support::assert_none(&failures);
}

#[test]
fn odd_field_names_do_not_hide_a_transfer_encoding() {
    let body = format!("0\r\n\r\n{}", smuggled());
    let both = |line: &str| with_body(&format!("Content-Length: 0\r\n{line}\r\n"), "");
    let only = |line: &str| with_body(&format!("{line}\r\n"), &body);
    Bench::new().table(&[
        ("space before colon", only("Transfer-Encoding : chunked"), NO),
        ("tab before colon", only("Transfer-Encoding\t: chunked"), NO),
        ("nul in name", only("Transfer\0Encoding: chunked"), NO),
        ("leading space", only(" Transfer-Encoding: chunked"), NO),
        ("line feed before", only("A: b\nTransfer-Encoding: cow"), NO),
        ("underscore", both("Transfer_Encoding: chunked"), Want::Either),
        ("other case", with_body("tRANSFER-eNCODING: CHUNKED\r\n", "0\r\n\r\n"), Want::Passed),
        (
            "spaces around",
            with_body("Transfer-Encoding: \t chunked \t\r\n", "0\r\n\r\n"),
            Want::Passed,
        ),
    ]);
}

#[test]
fn a_content_length_that_is_not_one_number_is_refused() {
    let values = [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5,6",
        "5, 6",
        ",5",
        "5,",
        "",
        "1e1",
        "5.0",
        "5;",
        "five",
        "\u{b}5",
        "5\0",
        "٥",
        "18446744073709551616",
        "99999999999999999999999",
        "5_0",
        "'5'",
        "5\r\n 5",
    ];
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for value in values {
        let bytes = with_body(&format!("Content-Length: {value}\r\n"), "hello");
        failures.extend(bench.case(&format!("{value:?}"), &bytes, NO).err());
    }
    crate::support::assert_none(&failures);
}

#[test]
fn several_content_lengths_are_refused_or_become_one() {
    let lines = |a: &str, b: &str| {
        with_body(&format!("Content-Length: {a}\r\nX: y\r\nContent-Length: {b}\r\n"), "hello")
    };
    Bench::new().table(&[
        ("differ", lines("5", "6"), NO),
        ("differ down", lines("6", "5"), NO),
        ("zero first", lines("0", "5"), NO),
        ("empty first", lines("", "5"), NO),
        ("empty last", lines("5", ""), NO),
        ("same", lines("5", "5"), Want::Either),
        ("same in a list", with_body("Content-Length: 5, 5\r\n", "hello"), Want::Either),
        ("leading zeros", with_body("Content-Length: 0005\r\n", "hello"), Want::Either),
    ]);
}

#[test]
fn length_and_encoding_together_close_the_connection() {
    let mut bench = Bench::new();
    let orders = [
        ("length first", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        ("encoding first", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
        ("long length", "Content-Length: 400\r\nTransfer-Encoding: chunked\r\n"),
    ];
    let mut failures = Vec::new();
    for (name, lines) in orders {
        let mut client = bench.gateway.client();
        client.send(&with_body(lines, &format!("0\r\n\r\n{}", smuggled())));
        match client.answer("POST") {
            Ok(answer) if answer.status == 400 || answer.status == 200 => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
        if !client.closes_within(std::time::Duration::from_secs(3)) {
            failures.push(format!("{name}: the connection goes on"));
        }
        failures.extend(bench.after(name).err());
    }
    crate::support::assert_none(&failures);
}

#[test]
fn http_1_0_with_transfer_encoding_is_refused() {
    let body = format!("0\r\n\r\n{}", smuggled());
    let head = "POST /x HTTP/1.0\r\nHost: weir.test\r\n";
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n{body}");
    let both = format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    Bench::new().table(&[
        ("alone", chunked.into_bytes(), Want::RefusedAndClosed(BAD)),
        ("with a length", both.into_bytes(), Want::RefusedAndClosed(BAD)),
    ]);
}

#[test]
fn a_body_without_framing_is_the_next_request() {
    let bench = Bench::new();
    let mut client = bench.gateway.client();
    client.send(&with_fields("")).send(crate::support::client::get("/x/second").as_bytes());
    assert_eq!(client.answer("GET").unwrap().text(), "GET /x 0");
    assert_eq!(client.answer("GET").unwrap().text(), "GET /x/second 0");
}
