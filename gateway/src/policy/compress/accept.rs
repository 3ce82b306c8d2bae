//! What codings a client takes (RFC 9110, section 12.5.3).

use http::{HeaderMap, HeaderValue, header};
use weir_config::model::Encoding;

/// What a client's `Accept-Encoding` comes to, given the codings that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The coding that it likes best; `None` is none.
    pub coding: Option<Encoding>,
    /// Whether it refuses a body without any.
    pub refuses_plain: bool,
}

/// Thousandths, as far as a weight may be told apart.
type Weight = u16;

const FULL: Weight = 1000;

/// Finds the coding that a client likes best; of those that it likes equally, the first that is
/// `offered`. One that likes none better than the plain body gets that.
#[must_use]
pub fn accepted(headers: &HeaderMap, offered: &[Encoding]) -> Accepted {
    let mut weights: [Option<Weight>; 3] = [None; 3];
    let (mut plain, mut others) = (None, None);
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    for item in lists.flat_map(|list| list.as_bytes().split(|b| *b == b',')) {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight).unwrap_or(FULL);
        let slot = match name.len() {
            1 if name == b"*" => &mut others,
            8 if name.eq_ignore_ascii_case(b"identity") => &mut plain,
            _ => match named(name) {
                Some(encoding) => &mut weights[place(encoding)],
                None => continue,
            },
        };
        *slot = Some(slot.unwrap_or(0).max(weight));
    }
    let weight_of = |encoding: Encoding| weights[place(encoding)].or(others).unwrap_or(0);
    let mut best = None;
    for encoding in offered {
        let weight = weight_of(*encoding);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((*encoding, weight));
        }
    }
    let refuses_plain = plain.or(others) == Some(0);
    let coding = best.filter(|(_, weight)| plain.is_none_or(|plain| plain <= *weight));
    Accepted { coding: coding.map(|(encoding, _)| encoding), refuses_plain }
}

const fn place(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Br => 0,
        Encoding::Zstd => 1,
        Encoding::Gzip => 2,
    }
}

fn named(name: &[u8]) -> Option<Encoding> {
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    match () {
        () if is("gzip") || is("x-gzip") => Some(Encoding::Gzip),
        () if is("br") => Some(Encoding::Br),
        () if is("zstd") => Some(Encoding::Zstd),
        () => None,
    }
}

/// Reads `q=0.8`. What is no weight says nothing, and what goes with it is not wanted.
fn weight(parameter: &[u8]) -> Option<Weight> {
    let value = match parameter {
        [b'q' | b'Q', rest @ ..] => rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start(),
        _ => return None,
    };
    let (whole, rest) = value.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] => digits,
        _ => return Some(0),
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    let thousandths = (0..3).fold(0, |sum, index| {
        sum * 10 + digits.get(index).map_or(0, |digit| Weight::from(digit - b'0'))
    });
    Some(match whole {
        b'0' => thousandths,
        b'1' => FULL,
        _ => 0,
    })
}

/// Whether a `Cache-Control` asks that nothing be changed on the way (RFC 9111, sections 5.2.1.6
/// and 5.2.2.6).
#[must_use]
pub fn forbids_change(headers: &HeaderMap) -> bool {
    let mut lists = headers.get_all(header::CACHE_CONTROL).iter().map(HeaderValue::as_bytes);
    lists.any(|list| {
        list.split(|b| *b == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Zstd, Encoding::Br, Encoding::Gzip];

    fn of(lines: &[&'static str]) -> Accepted {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        accepted(&headers, &ALL)
    }

    #[track_caller]
    fn check(line: &'static str, coding: Option<Encoding>, refuses_plain: bool) {
        assert_eq!(of(&[line]), Accepted { coding, refuses_plain }, "{line}");
    }

    #[test]
    fn the_best_of_what_both_know_is_taken() {
        let (br, zstd, gzip) = (Some(Encoding::Br), Some(Encoding::Zstd), Some(Encoding::Gzip));
        check("gzip, deflate, br, zstd", zstd, false);
        check("gzip, deflate, br", br, false);
        check("gzip", gzip, false);
        check("X-GZIP", gzip, false);
        check("*", zstd, false);
        check("br;q=0.5, gzip;q=0.8", gzip, false);
        check("gzip; q = 0.801 , br;Q=0.8", gzip, false);
        check("*;q=0.1, gzip;q=0.2", gzip, false);
        check("zstd;q=0, *", br, false);
        check("gzip;q=1.000, zstd;q=0.999", gzip, false);
        check("gzip;level=1;q=0.3, br;q=0.2", gzip, false);
        assert_eq!(of(&["gzip;q=0.1", "br"]).coding, br, "over two lines");
    }

    #[test]
    fn who_likes_the_plain_body_better_gets_it() {
        check("", None, false);
        check("deflate, compress", None, false);
        check("gzip;q=0", None, false);
        check("identity, gzip;q=0.5", None, false);
        check("identity;q=0.5, gzip;q=0.5", Some(Encoding::Gzip), false);
        assert_eq!(of(&[]), Accepted::default(), "nothing is said");
    }

    #[test]
    fn the_plain_body_can_be_refused() {
        check("gzip, identity;q=0", Some(Encoding::Gzip), true);
        check("gzip, *;q=0", Some(Encoding::Gzip), true);
        check("identity;q=0", None, true);
        check("*;q=0, identity", None, false);
    }

    #[test]
    fn what_is_no_weight_is_not_wanted() {
        for line in ["gzip;q=x", "gzip;q=2", "gzip;q=0.1234", "gzip;q=-1", "gzip;q=1x"] {
            check(line, None, false);
        }
        check("gzip;q=", Some(Encoding::Gzip), false);
        check("gzip;;,,;q=1", Some(Encoding::Gzip), false);
    }

    #[test]
    fn change_can_be_forbidden() {
        let of = |text| {
            forbids_change(&HeaderMap::from_iter([(
                header::CACHE_CONTROL,
                HeaderValue::from_static(text),
            )]))
        };
        assert!(of("no-transform") && of("max-age=1, No-Transform"));
        assert!(!of("max-age=1") && !of("x-no-transform"));
    }
}
