use super::*;

const PAGE: &str = "<!doctype html><title>T</title><body><div id=a class='x y'><p>one</p>
<p class=y data-k='v-w'>two <b>bold</b></p><p>three</p></div><ul><li>1<li>2<li>3<li>4</ul>
<form><input name=n type=checkbox checked><input disabled><select><option selected>o</select></form>";

fn found(selector: &str) -> Vec<String> {
    let document = Document::parse(PAGE);
    let selector = Selector::parse(selector).unwrap();
    let all = document.descendants(0).filter(|id| selector.matches(&document, *id));
    all.map(|id| document.text(id).trim().to_string()).collect()
}

#[test]
fn finds_by_selectors() {
    assert_eq!(found("title"), ["T"]);
    assert_eq!(found("#a > p.y, title"), ["T", "two bold"]);
    assert_eq!(found("div p + p"), ["two bold", "three"]);
    assert_eq!(found(".y ~ p"), ["three"]);
    assert_eq!(found("[data-k|=v]"), ["two bold"]);
    assert_eq!(found("p[data-k^='v'][data-k$=w][data-k*='-']"), ["two bold"]);
    assert_eq!(found("li:nth-child(2n+1)"), ["1", "3"]);
    assert_eq!(found("li:nth-child(-n + 2)"), ["1", "2"]);
    assert_eq!(found("li:nth-last-child(1), li:first-child"), ["1", "4"]);
    assert_eq!(found("p:not(.y):contains('ee')"), ["three"]);
    assert_eq!(found("p:has(b)"), ["two bold"]);
    assert_eq!(found("option:checked, input:disabled, input:checked"), ["", "", "o"]);
    assert_eq!(found("b:only-child, :root > head > title"), ["T", "bold"]);
    assert_eq!(found("p.nowhere"), [""; 0]);
}

#[test]
fn bad_selectors_say_why() {
    for (bad, why) in [
        ("p >", "missing"),
        ("p:odd-one", ":odd-one"),
        ("[a", "]"),
        ("", "missing"),
        ("p:not(.a", ")"),
        ("li:nth-child(x)", "place"),
        ("a)", "unexpected"),
    ] {
        let error = Selector::parse(bad).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn writes_what_it_read() {
    let document = Document::parse("<p a='1 & \"2\"'>x &lt; y<br>z</p><script>a < b</script>");
    let body = document.descendants(0).find(|id| document.name(*id) == Some("body")).unwrap();
    let html = document.inner_html(body);
    assert_eq!(html, "<p a=\"1 &amp; &#34;2&#34;\">x &lt; y<br/>z</p><script>a < b</script>");
    // Deep documents are no danger.
    let deep = format!("{}x", "<div>".repeat(2_000));
    let document = Document::parse(&deep);
    assert_eq!(document.text(0), "x");
    assert!(document.outer_html(0).len() > 20_000);
}
