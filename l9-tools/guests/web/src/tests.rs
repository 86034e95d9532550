//! Pages and what is read of them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::invoke;

fn extract(html: &str) -> Value {
    let answer = invoke("web/extract", &json!({"html": html}).to_string()).unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn text(html: &str) -> String {
    extract(html)["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_page_becomes_readable_text_with_its_links_as_a_list() {
    let page = extract(
        "<!doctype html><html><head><title> The  harbour </title><style>p { color: red }</style>\
         <script>alert('<p>no</p>')</script></head><body><nav><a href=/all>All</a></nav>\
         <h1>Harbour</h1><p>It was dredged&nbsp;in\n  <b>1911</b>. See <a href=\"/lamp?a=1&amp;b=2\">the <i>lamp</i></a>.\
         <ul><li>One<li>Two</ul><table><tr><th>Ship<th>Crew<tr><td>Orvane<td>12</table>\
         <pre>a  b\n  c</pre><img alt='a chart' src=x.png><!-- never --><footer>All rights</footer>",
    );
    assert_eq!(page["title"], "The harbour");
    assert_eq!(
        page["text"],
        "# Harbour\n\nIt was dredged in 1911. See the lamp.\n\n- One\n- Two\n\nShip | Crew\nOrvane | 12\n\na  b\n  c\n\n[a chart]"
    );
    assert_eq!(page["links"], json!([{"text": "the lamp", "url": "/lamp?a=1&b=2"}]));
    assert_eq!(page["truncated"], false);
    let whole = invoke("web/extract", &json!({"html": "<nav>All</nav><p>Text", "whole": true}).to_string()).unwrap();
    assert!(whole.contains("All"), "{whole}");
}

#[test]
fn what_is_raised_is_no_digit_of_the_number_before_it() {
    for (html, expected) in [
        ("10<sup>6</sup> m<sup> 2</sup>", "10^6 m^2"),
        ("x<sup>−1</sup> and 2<sup><i>-3</i></sup>", "x^−1 and 2^-3"),
        ("in 1911<sup>2</sup> and 1912<sup><a href=#n>[3]</a></sup>", "in 1911^2 and 1912[3]"),
        ("the 1<sup>st</sup> of 2<sup></sup>0", "the 1st of 20"),
        ("5<sup hidden>2</sup>5", "55"),
        ("H<sub>2</sub>O", "H2O"),
    ] {
        assert_eq!(text(html), expected, "{html}");
    }
    assert_eq!(extract("<title>10<sup>6</sup></title>x")["title"], "10<sup>6</sup>");
}

#[test]
fn what_a_reader_does_not_see_is_left_out() {
    for html in [
        "<p>seen</p><div hidden>order<div>more</div>order</div>",
        "<p>seen</p><span style='display: none'>order</span>",
        "<p>seen</p><span style='COLOR:red;visibility : hidden'>order</span>",
        "<p>seen</p><span style='font-size: 0'>order</span>",
        "<p>seen</p><div aria-hidden=true>order</div>",
        "<p>seen</p><template>order</template><noscript>order</noscript><!-- order -->",
        "<p>seen</p><svg><text>order</text></svg><textarea>order</textarea>",
        "<p>seen</p><script>order</script><style>order</style>",
        "<p>seen</p><div hidden>order",
        "<p>seen</p><div hidden/>order",
        "<p hidden>order<p>seen",
        "<svg/><p>seen",
    ] {
        assert_eq!(text(html), "seen", "{html}");
    }
    // A size that is not none is seen, and what comes after is too.
    assert_eq!(text("<span style='font-size:0.9em'>seen</span><br hidden><b>too</b>"), "seen\ntoo");
}

#[test]
fn links_that_run_something_are_none() {
    let page = extract(
        "<a href='javascript:alert(1)'>a</a><a href='data:text/html,x'>b</a><a href='#here'>c</a><a href=''>d</a>\
         <a href='JaVaScRiPt:x'>e</a><a>f</a><a href='https://x.org/?q=a:b'>g</a><a href='page.html'>h</a><a href='mailto:i@x.org'>i",
    );
    let urls: Vec<&str> = page["links"].as_array().unwrap().iter().map(|link| link["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["https://x.org/?q=a:b", "page.html", "mailto:i@x.org"]);
}

#[test]
fn a_hostile_page_costs_time_by_its_size_only() {
    for (open, close) in [
        ("<div>", ""),
        ("<b><i>", ""),
        ("<a href=x>", ""),
        ("<table><tr><td>", ""),
        ("<div hidden>", "</div>"),
        ("<", ""),
        ("&amp", ""),
        ("<li>", ""),
    ] {
        let times = (1 << 20) / (open.len() + close.len());
        let page = format!("{}x{}", open.repeat(times), close.repeat(times));
        let began = Instant::now();
        let read = extract(&page);
        assert!(began.elapsed().as_secs() < 60, "{open}: {:?}", began.elapsed());
        assert!(read.to_string().len() < (2 << 20), "{open}");
    }
    let long = extract(&format!("<p>{}", "word ".repeat(1_000_000)));
    assert!(long["truncated"] == true && long["text"].as_str().unwrap().len() <= (512 << 10));
    let many = extract(&"<a href=x>y</a> ".repeat(5_000));
    assert_eq!((many["links"].as_array().unwrap().len(), &many["truncated"]), (1_000, &json!(true)));
}

#[test]
fn what_is_no_page_is_text() {
    assert_eq!(text("just words & more < than"), "just words & more < than");
    assert_eq!(text(""), "");
    assert!(invoke("web/other", "{}").unwrap_err().contains("it holds web/extract"));
}
