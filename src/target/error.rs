//! What can go wrong with reading a target, and what kind of failure it is.

use crate::model::Kind;
use crate::model::reference::ReferenceError;
use crate::registry;
use std::io;

/// What can go wrong with reading a target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("reading `/{path}`")]
    Io {
        /// Inside of the target.
        path: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// What holds the target cannot be read.
    #[error("reading {object}")]
    Source {
        /// A file, or a part of it.
        object: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The files to keep are too large.
    #[error("the files that have to be read have more than {0} MiB")]
    TooMuch(usize),
    /// The target is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// Other bytes than those that are named.
    #[error("{object} is damaged: {detail}")]
    Damaged {
        /// A layer, a config or a manifest.
        object: String,
        /// What was found.
        detail: String,
    },
    /// No image, or none for the platform, where one is asked for.
    #[error("{message}")]
    NoImage {
        /// What is not there, and what is.
        message: String,
        /// What the user can do.
        hint: String,
    },
    /// The text names no target.
    #[error("`{0}` is no target")]
    Name(String),
    /// The text after `docker://` is no reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The registry, or skopeo, failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

impl Error {
    /// What this means for the caller: a target that is broken was judged; one that could not be read was not.
    pub fn kind(&self) -> Kind {
        match self {
            Error::TooMuch(_) | Error::Malformed(_) | Error::Damaged { .. } => Kind::Check,
            Error::Registry(error) if error.last().is_about_content() => Kind::Check,
            Error::NoImage { .. } | Error::Name(_) | Error::Reference(_) => Kind::Usage,
            Error::Source { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::Usage,
            Error::Io { .. } | Error::Source { .. } | Error::Registry(_) => Kind::Environment,
        }
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Error::Name(_) => {
                let forms = super::Target::FORMS.map(|form| format!("`{form}`"));
                vec![format!("a target is a folder, or one of {}", forms.join(", "))]
            }
            Error::Reference(error) => vec![error.hint()],
            // The command line finds the registry's own error, and its hints, in the chain only where it is a cause.
            Error::Registry(error) => error.hints(),
            Error::NoImage { hint, .. } => vec![hint.clone()],
            Error::Source { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                vec!["check the path".to_owned()]
            }
            Error::Damaged { .. } => {
                vec!["no device can unpack this image; build, save or push it again".to_owned()]
            }
            Error::Malformed(_) => vec!["check that it is this kind of target; if it is, make it again".to_owned()],
            _ => Vec::new(),
        }
    }

    /// An error of a reader: the registry's own where it carries one.
    pub(super) fn of_reader(object: &str, source: io::Error) -> Self {
        match source.downcast::<registry::Error>() {
            Ok(error) => Error::Registry(error),
            Err(source) => Error::Source { object: object.to_owned(), source },
        }
    }

    pub(super) fn damaged(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Error::Damaged { object: object.into(), detail: detail.into() }
    }
}

pub(super) fn io_error(path: &str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Foreign text for a message: one line, without control characters, not too long.
pub(super) fn foreign(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_told_from_what_could_not_be_read() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = registry::Error::Answer { object: "x".into(), detail: "500".into() };
        for (error, kind) in [
            (Error::damaged("layer x", "short"), Kind::Check),
            (Error::Malformed("x".into()), Kind::Check),
            (Error::Name("x".into()), Kind::Usage),
            (Error::of_reader("layer x", refused()), Kind::Environment),
            (Error::of_reader("layer x", io::Error::other(denied)), Kind::Environment),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
        assert!(Error::Name("x".into()).hints()[0].contains("docker://"));
        assert_eq!(foreign("a\u{1b}[2J\nb"), "a?[2J?b");
    }
}
