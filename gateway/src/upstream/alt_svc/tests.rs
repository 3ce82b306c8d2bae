use super::*;

fn read(fields: &[&str]) -> Option<Advice> {
    let fields: Vec<_> = fields.iter().map(|field| HeaderValue::from_str(field).unwrap()).collect();
    parse(&fields, "origin.test")
}

fn port(port: u16, seconds: u64) -> Option<Advice> {
    Some(Advice::Port(port, Duration::from_secs(seconds)))
}

#[test]
fn the_first_entry_for_h3_on_the_same_host_counts() {
    for (field, expected) in [
        (r#"h3=":443""#, port(443, 86_400)),
        (r#"h3=":8443"; ma=60"#, port(8443, 60)),
        (r#"h3=":8443";ma="60";persist=1"#, port(8443, 60)),
        (r#"h2=":1", h3=":2"; ma=3, h3=":4""#, port(2, 3)),
        (r#"h3="origin.test:5", h3=":6""#, port(5, 86_400)),
        (r#"h3="ORIGIN.test:5""#, port(5, 86_400)),
        (r#"h3="other.test:5", h3=":6""#, port(6, 86_400)),
        (r#"h3="other.test:5""#, Some(Advice::Absent)),
        (r#"h3-29=":443""#, Some(Advice::Absent)),
        (r#"H3=":443""#, Some(Advice::Absent)),
        (r#"h3=":443"; ma=0"#, Some(Advice::Absent)),
        (r#"h3=":443"; ma=99999999999999999999"#, port(443, 86_400)),
        ("clear", Some(Advice::Absent)),
    ] {
        assert_eq!(read(&[field]), expected, "{field}");
    }
    assert_eq!(read(&[r#"h2=":1""#, r#"h3=":2""#]), port(2, 86_400));
    assert_eq!(read(&[]), None);
}

#[test]
fn what_is_malformed_is_not_believed() {
    for field in [
        "",
        "Clear",
        "h3",
        "h3=",
        "h3=:443",
        r#"h3=":443"#,
        r#"h3=":443" x"#,
        r#"h3=":443","#,
        r#"h3=":443"; ma"#,
        r#"h3=":443"; ma=-1"#,
        r#"h3=":443"; ma="#,
        r#"h3="443""#,
        r#"h3=":+443""#,
        r#"h3=":\443""#,
        r#"=":443""#,
    ] {
        assert_eq!(read(&[field]), None, "{field}");
    }
    let impossible = [r#"h3=":0""#, r#"h3=":""#, r#"h3=":65536""#];
    for field in impossible {
        assert_eq!(read(&[field]), Some(Advice::Absent), "{field}");
    }
    let long = format!(r#"h3=":443"; x={}"#, "y".repeat(MOST_BYTES));
    assert_eq!(read(&[&long]), None);
}

#[test]
fn an_entry_ends_with_its_age_or_the_next_word() {
    let mut alternative = Alternative::default();
    let second = Duration::from_secs(1);
    let now = Tick::ZERO + second;
    assert_eq!(alternative.port(now), None);
    alternative.learn(Advice::Port(7, 10 * second), now);
    assert_eq!(alternative.port(now + 9 * second), Some(7));
    assert_eq!(alternative.port(now + 10 * second), None);
    alternative.learn(Advice::Port(8, 100 * second), now);
    assert_eq!(alternative.port(now + 10 * second), Some(8));
    alternative.learn(Advice::Absent, now);
    assert_eq!(alternative.port(now), None);
}

#[test]
fn failures_put_it_aside_for_longer_and_longer() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut alternative = Alternative::default();
    let mut now = Tick::ZERO;
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        alternative.learn(Advice::Port(7, DAY), now);
        assert_eq!(alternative.port(now), Some(7));
        alternative.fail(now, &mut rng);
        let pause = Duration::from_secs(60 * minutes);
        assert_eq!(alternative.port(now + pause.mul_f64(0.99)), None, "{minutes}");
        now = now + pause.mul_f64(1.26);
    }
    // A day's entry may be over by now.
    alternative.learn(Advice::Port(7, DAY), now);
    alternative.part(true, FIRST_PAUSE, now, &mut rng);
    assert_eq!(alternative.port(now + Duration::from_secs(59)), None);
    now = now + Duration::from_secs(76);
    assert_eq!(alternative.port(now), Some(7));
    alternative.part(false, Duration::ZERO, now, &mut rng);
    assert_eq!(alternative.port(now), Some(7));
}
