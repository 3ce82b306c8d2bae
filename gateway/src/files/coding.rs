//! Which of the files beside a file a client takes in its place (RFC 9110 section 12.5.3).

use http::{HeaderMap, HeaderValue, header};
use smallvec::SmallVec;

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// The better ones first.
    const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// As a field says it.
    pub(super) const fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    /// What stands behind the file's name.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// What a client takes, what it likes best first.
pub(super) fn accepted(headers: &HeaderMap) -> SmallVec<[Coding; 3]> {
    let mut weights = [None; 3];
    let mut any = None;
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    for member in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
        let (token, weight) = member.split_once(';').unwrap_or((member, ""));
        let (token, weight) = (token.trim(), thousandths(weight));
        if token == "*" {
            any = Some(weight);
        }
        for (coding, known) in Coding::ALL.iter().zip(&mut weights) {
            let alias = *coding == Coding::Gzip && token.eq_ignore_ascii_case("x-gzip");
            if alias || token.eq_ignore_ascii_case(coding.token()) {
                *known = Some(weight);
            }
        }
    }
    let weighed = Coding::ALL.into_iter().zip(weights);
    let mut taken: SmallVec<[_; 3]> = weighed
        .filter_map(|(coding, weight)| Some((coding, weight.or(any)?)))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    taken.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    taken.into_iter().map(|(coding, _)| coding).collect()
}

/// What `q` says; 1 where it says nothing, and nothing where it cannot be read.
fn thousandths(parameter: &str) -> u32 {
    let parameter = parameter.trim();
    if parameter.is_empty() {
        return 1000;
    }
    let value = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let value = value.and_then(|(_, value)| value.trim().parse::<f32>().ok());
    value.filter(|value| (0.0..=1.0).contains(value)).map_or(0, |value| (value * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::{Coding::*, *};

    #[test]
    fn what_is_liked_best_comes_first() {
        for (line, wanted) in [
            ("", &[][..]),
            ("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip][..]),
            ("gzip;q=1.0, br;q=0.5", &[Gzip, Brotli]),
            ("GZIP", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("br;q=0, *", &[Zstd, Gzip]),
            ("*;q=0.1", &[Brotli, Zstd, Gzip]),
            ("*;q=0, gzip", &[Gzip]),
            ("identity", &[]),
            ("br;q=x, gzip;q=2, zstd;q=-1", &[]),
            ("br ; q = 0.2 , gzip ;q=0.3", &[Gzip, Brotli]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, line.parse().unwrap());
            assert_eq!(accepted(&headers).as_slice(), wanted, "{line}");
        }
        assert!(accepted(&HeaderMap::new()).is_empty());
    }
}
