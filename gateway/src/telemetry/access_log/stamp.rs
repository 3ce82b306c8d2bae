//! Dates, written once a second.

/// The last second's dates in both forms, UTC.
#[derive(Debug)]
pub(super) struct Stamp {
    second: u64,
    /// `2026-01-31T23:59:59`
    rfc3339: [u8; 19],
    /// `31/Jan/2026:23:59:59 +0000`
    common: [u8; 26],
}

/// The last second of the year 9999, the last with four digits.
const LAST: u64 = 253_402_300_799;

impl Stamp {
    pub(super) fn new() -> Self {
        let mut this = Self { second: 0, rfc3339: [b'0'; 19], common: [b'0'; 26] };
        this.write(0);
        this
    }

    /// RFC 3339 with milliseconds: `2026-01-31T23:59:59.999Z`.
    pub(super) fn append_rfc3339(&mut self, out: &mut Vec<u8>, unix_millis: u64) {
        self.turn(unix_millis / 1_000);
        out.extend_from_slice(&self.rfc3339);
        let millis = unix_millis % 1_000;
        let digit = |n: u64| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[
            b'.',
            digit(millis / 100),
            digit(millis / 10),
            digit(millis),
            b'Z',
        ]);
    }

    /// The common log format's date.
    pub(super) fn append_common(&mut self, out: &mut Vec<u8>, unix_millis: u64) {
        self.turn(unix_millis / 1_000);
        out.extend_from_slice(&self.common);
    }

    fn turn(&mut self, second: u64) {
        if second != self.second {
            self.second = second;
            self.write(second.min(LAST));
        }
    }

    #[cold]
    fn write(&mut self, second: u64) {
        let (year, month, day) = civil(second / 86_400);
        let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
        let two = |n: u64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        let ([c, d], [y, e]) = (two(year / 100), two(year % 100));
        let ([mo, nt], [da, ay]) = (two(month), two(day));
        let ([ho, ur], [mi, nu], [se, co]) = (two(hour), two(minute), two(second));
        self.rfc3339 =
            [c, d, y, e, b'-', mo, nt, b'-', da, ay, b'T', ho, ur, b':', mi, nu, b':', se, co];
        let [j, a, n] = MONTHS[(month - 1) as usize];
        self.common = [
            da, ay, b'/', j, a, n, b'/', c, d, y, e, b':', ho, ur, b':', mi, nu, b':', se, co,
            b' ', b'+', b'0', b'0', b'0', b'0',
        ];
    }
}

const MONTHS: [[u8; 3]; 12] = [
    *b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct",
    *b"Nov", *b"Dec",
];

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: 400 years have
/// 146,097 days, and years that begin in March end with the leap day.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(unix_millis: u64) -> (String, String) {
        let (mut stamp, mut a, mut b) = (Stamp::new(), Vec::new(), Vec::new());
        stamp.append_rfc3339(&mut a, unix_millis);
        stamp.append_common(&mut b, unix_millis);
        (String::from_utf8(a).unwrap(), String::from_utf8(b).unwrap())
    }

    #[test]
    fn known_moments() {
        for (millis, rfc3339, common) in [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z", "29/Feb/2000:12:34:56 +0000"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z", "28/Feb/2024:23:59:59 +0000"),
            (4_107_542_400_007, "2100-03-01T00:00:00.007Z", "01/Mar/2100:00:00:00 +0000"),
            (LAST * 1_000, "9999-12-31T23:59:59.000Z", "31/Dec/9999:23:59:59 +0000"),
        ] {
            assert_eq!(both(millis), (rfc3339.to_owned(), common.to_owned()));
        }
        assert_eq!(both(u64::MAX).0.len(), 24);
    }

    #[test]
    fn days_follow_one_another() {
        let mut last = civil(0);
        for day in 1..200_000 {
            let next = civil(day);
            let follows = next == (last.0, last.1, last.2 + 1)
                || next == (last.0, last.1 + 1, 1) && last.2 >= 28
                || next == (last.0 + 1, 1, 1) && (last.1, last.2) == (12, 31);
            assert!(follows && next.2 <= 31, "{last:?} {next:?}");
            last = next;
        }
    }

    #[test]
    fn a_kept_stamp_turns_with_the_second() {
        let (mut stamp, mut out) = (Stamp::new(), Vec::new());
        for millis in [1_999, 2_000, 2_001, 1_000] {
            stamp.append_rfc3339(&mut out, millis);
            out.push(b' ');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:01.999Z 1970-01-01T00:00:02.000Z 1970-01-01T00:00:02.001Z \
             1970-01-01T00:00:01.000Z "
        );
    }
}
