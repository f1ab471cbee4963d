//! What can be wrong with an answer, and which answers it happens to.

use super::super::random::Random;
use super::delivery::{Delivery, End};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What to do with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answer with this status and an error envelope.
    Status(u16),
    /// The same, and say when to come back.
    RetryAfter(u16, After),
    /// Send these bytes instead.
    Replace(Vec<u8>),
    /// Announce the right length, send this many bytes, close the connection.
    BreakOff(usize),
    /// Announce the right length, send this many bytes, reset the connection.
    Reset(usize),
    /// Announce and send only this many bytes.
    CutShort(usize),
    /// Announce and send this many bytes more than there are.
    Pad(usize),
    /// Announce so many bytes more or less than are sent; then close the connection.
    WrongLength(i64),
    /// Take the request and never answer.
    Silence,
    /// Announce the right length, send this many bytes, then nothing any more.
    SilenceAfter(usize),
    /// Wait this long before each byte.
    Drip(Duration),
    /// Redirect there.
    Redirect(String),
    /// Say that the content is of this type.
    ContentType(&'static str),
    /// Say that the content has this digest.
    ContentDigest(String),
    /// Send the content in gzip, though nobody asked for that.
    Gzip,
    /// Answer a request for a part with the whole.
    IgnoreRange,
    /// Answer a request for a part with the part from this byte on, whatever was asked for.
    WrongRange(usize),
    /// Write the names of headers in odd letters.
    OddCase,
    /// Send chunks instead of announcing a length.
    Chunked,
    /// Two at once.
    Both(Box<Fault>, Box<Fault>),
}

/// What `Retry-After` says.
#[derive(Debug, Clone, Copy)]
pub enum After {
    /// Seconds.
    Seconds(u64),
    /// A date, so many seconds after the answer.
    Date(u64),
    /// Something else.
    Text(&'static str),
}

impl Fault {
    /// Two at once; what the second says holds where both say something.
    pub fn and(self, other: Fault) -> Fault {
        Fault::Both(self.into(), other.into())
    }

    /// A fault that a patient client gets over. Silence is not among them: it costs as much time as
    /// the client has patience.
    fn recoverable(random: &mut Random, length: usize) -> Fault {
        let at = random.below(length + 1);
        match random.below(12) {
            0 | 1 => Fault::Status([408, 429, 500, 502, 503, 504][random.below(6)]),
            2 => Fault::RetryAfter([429, 503][random.below(2)], After::Seconds(random.below(2) as u64)),
            3 | 4 => Fault::BreakOff(at),
            5 | 6 => Fault::Reset(at),
            7 => Fault::Chunked.and(Fault::BreakOff(at)),
            8 => Fault::WrongLength(1 + i64::try_from(at).expect("a length fits")),
            9 => Fault::Chunked.and(Fault::OddCase),
            10 => Fault::ContentType("text/html"),
            _ => Fault::IgnoreRange,
        }
    }

    pub(super) fn apply(self, delivery: &mut Delivery) {
        match self {
            Fault::Status(status) => *delivery = refusal(status),
            Fault::RetryAfter(status, after) => {
                *delivery = refusal(status).header("Retry-After", &after.value());
            }
            Fault::Redirect(to) => *delivery = Delivery::new(307, "text/plain", Vec::new()).header("Location", &to),
            Fault::Replace(bytes) => delivery.content = bytes,
            Fault::BreakOff(length) => delivery.end = End::Close(length),
            Fault::Reset(length) => delivery.end = End::Reset(length),
            Fault::SilenceAfter(length) => delivery.end = End::Silence(length),
            Fault::Silence => delivery.end = End::Never,
            Fault::CutShort(length) => delivery.cut = Some(length),
            Fault::Pad(length) => delivery.pad = length,
            Fault::WrongLength(difference) => delivery.length_error = difference,
            Fault::Drip(pause) => delivery.drip = Some(pause),
            Fault::ContentType(value) => delivery.replace_header("Content-Type", value),
            Fault::ContentDigest(value) => delivery.replace_header("Docker-Content-Digest", &value),
            Fault::Gzip => delivery.gzip = true,
            Fault::IgnoreRange => delivery.range = None,
            Fault::WrongRange(start) => {
                if let Some((from, _)) = &mut delivery.range {
                    *from = start;
                }
            }
            Fault::OddCase => delivery.odd_case = true,
            Fault::Chunked => delivery.chunked = true,
            Fault::Both(first, second) => {
                first.apply(delivery);
                second.apply(delivery);
            }
        }
    }
}

fn refusal(status: u16) -> Delivery {
    let body = br#"{"errors":[{"code":"TEST","message":"the test says no"}]}"#;
    Delivery::new(status, "application/json", body.to_vec())
}

impl After {
    fn value(self) -> String {
        match self {
            After::Seconds(seconds) => seconds.to_string(),
            After::Text(text) => text.to_owned(),
            After::Date(seconds) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
                // Rounded up: the date must not be nearer than was said.
                http_date(now.as_secs() + 1 + seconds)
            }
        }
    }
}

/// A date as HTTP writes it (RFC 9110, 5.6.7).
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = seconds / 86400;
    let weekday = DAYS[usize::try_from(days % 7).expect("a weekday")];
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1, MONTHS[month])
}

/// The faults that are still to come.
#[derive(Default)]
pub(super) struct Faults {
    planned: Vec<Planned>,
    random: Option<(Random, usize)>,
}

struct Planned {
    part: String,
    /// How often it still happens; `None` for ever.
    left: Option<usize>,
    fault: Fault,
}

impl Faults {
    pub(super) fn plan(&mut self, part: &str, left: Option<usize>, fault: Fault) {
        self.planned.push(Planned { part: part.to_owned(), left, fault });
    }

    pub(super) fn misbehave(&mut self, seed: u64, percent: usize) {
        self.random = Some((Random::new(seed), percent));
    }

    /// The fault that an answer with a body of this length gets: the first that was planned for its path.
    pub(super) fn take(&mut self, path: &str, length: usize) -> Option<Fault> {
        let fits = |planned: &&mut Planned| planned.left != Some(0) && path.contains(planned.part.as_str());
        if let Some(planned) = self.planned.iter_mut().find(fits) {
            planned.left = planned.left.map(|left| left - 1);
            return Some(planned.fault.clone());
        }
        let (random, percent) = self.random.as_mut()?;
        random.percent(*percent).then(|| Fault::recoverable(random, length))
    }
}

#[test]
fn dates_are_those_of_http() {
    // The example of RFC 9110, the end of a leap February, and the first second.
    assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(http_date(951_868_799), "Tue, 29 Feb 2000 23:59:59 GMT");
    assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}
