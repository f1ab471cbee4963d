//! What can happen to a request, and to which.

use std::time::Duration;

/// Which requests: a method, and a text in the path or the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    method: Option<&'static str>,
    part: String,
}

impl On {
    /// All methods.
    pub fn any(part: &str) -> Self {
        Self { method: None, part: part.to_owned() }
    }

    /// GET.
    pub fn get(part: &str) -> Self {
        Self { method: Some("GET"), ..Self::any(part) }
    }

    /// HEAD.
    pub fn head(part: &str) -> Self {
        Self { method: Some("HEAD"), ..Self::any(part) }
    }

    /// POST.
    pub fn post(part: &str) -> Self {
        Self { method: Some("POST"), ..Self::any(part) }
    }

    /// PATCH.
    pub fn patch(part: &str) -> Self {
        Self { method: Some("PATCH"), ..Self::any(part) }
    }

    /// PUT.
    pub fn put(part: &str) -> Self {
        Self { method: Some("PUT"), ..Self::any(part) }
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.is_none_or(|own| own == method) && path.contains(&self.part)
    }
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteFault {
    /// The answer is this status and an error envelope; nothing is done.
    Status(u16),
    /// The same, and the seconds after which to come back.
    RetryAfter(u16, u64),
    /// So many bytes of the body are taken, then the connection is reset.
    BreakUpload(usize),
    /// So many bytes of the body are taken, then nothing happens any more.
    Stall(usize),
    /// All is taken and nothing done, and no answer comes.
    Silence,
    /// All is done as it should be, and the connection reset instead of an answer.
    LoseAnswer,
    /// All is done as it should be, and after so many bytes of the answer's body the connection is reset.
    BreakAnswer(usize),
    /// All is done as it should be, with this pause before each piece of the request's body and each byte of the
    /// answer's.
    Drip(Duration),
}

impl WriteFault {
    /// How many bytes of the body are taken.
    pub(super) fn limit(&self) -> usize {
        match self {
            Self::BreakUpload(length) | Self::Stall(length) => *length,
            _ => usize::MAX,
        }
    }

    /// The pause between pieces.
    pub(super) fn pause(&self) -> Option<Duration> {
        if let Self::Drip(pause) = self { Some(*pause) } else { None }
    }
}

/// The faults that are still to come.
#[derive(Default)]
pub(super) struct Faults(Vec<(On, usize, WriteFault)>);

impl Faults {
    pub(super) fn plan(&mut self, on: On, times: usize, fault: WriteFault) {
        self.0.push((on, times, fault));
    }

    /// The fault of a request: the first that was planned for it.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<WriteFault> {
        let planned = self.0.iter_mut().find(|(on, left, _)| *left > 0 && on.fits(method, path))?;
        planned.1 -= 1;
        Some(planned.2.clone())
    }
}
