//! `signedIdentity`: whether the name that was signed is one that a requirement accepts.
//!
//! The rules are those of containers-policy.json(5) and containers/image. Names are compared with
//! Docker Hub's short forms written out.

use super::reason::Reason;
use crate::model::Reference;
use crate::model::grammar::{Name, full_repository, is_full_repository};
use crate::trust::Identity;
use std::fmt;

/// A name in full, of which tag and digest may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Named {
    /// Reads a name as distribution/reference normalises it.
    fn parse(text: &str) -> Option<Self> {
        // 64 hex digits could be an image id.
        let is_id = text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let name = Name::parse(text).filter(|_| !is_id)?;
        let repository = full_repository(name.repository)?;
        Some(Self { repository, tag: name.tag.map(str::to_owned), digest: name.digest.map(str::to_owned) })
    }

    /// The name that an image is pulled by. Where it has tag and digest the digest counts, as for CRI-O.
    fn pulled(reference: &Reference) -> Self {
        let digest = reference.digest().map(ToString::to_string);
        let tag = reference.tag().filter(|_| digest.is_none()).map(str::to_owned);
        Self { repository: reference.repository().to_string(), tag, digest }
    }

    fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// With the prefix replaced; as it is where it does not begin with it, nothing where that makes no
    /// name.
    fn remapped(&self, prefix: &str, signed_prefix: &str) -> Option<Self> {
        let rest = self.repository.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(rest) = rest else { return Some(self.clone()) };
        let repository = format!("{signed_prefix}{rest}");
        is_full_repository(&repository).then(|| Self { repository, ..self.clone() })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// Which names are accepted.
enum Wanted {
    /// This one, tag, digest and all.
    Exactly(Named),
    /// Any with tag or digest in the repository of this one.
    Pointed(Named),
    /// Any in this repository.
    In(String),
}

/// Fails, with the reason, where the name that was signed is not accepted for an image that is pulled
/// by a name, or by none.
pub fn check(identity: &Identity, name: Option<&Reference>, signed: &str) -> Result<(), Reason> {
    let wanted = wanted(identity, name)?;
    let Some(signed_name) = Named::parse(signed) else {
        return Err(Reason::IdentityNoName { signed: signed.chars().take(200).collect() });
    };
    let mismatch = |wanted: String| Err(Reason::Identity { signed: signed_name.to_string(), wanted });
    match wanted {
        Wanted::Exactly(named) | Wanted::Pointed(named)
            if signed_name.is_name_only() && signed_name.repository == named.repository =>
        {
            Err(Reason::IdentityNameOnly { signed: signed_name.to_string() })
        }
        Wanted::Exactly(named) if named != signed_name => mismatch(format!("`{named}`")),
        Wanted::Pointed(named) if named.repository != signed_name.repository => {
            mismatch(format!("a tag or digest of `{}`", named.repository))
        }
        Wanted::In(repository) if repository != signed_name.repository => mismatch(format!("a name in `{repository}`")),
        Wanted::Exactly(_) | Wanted::Pointed(_) | Wanted::In(_) => Ok(()),
    }
}

fn wanted(identity: &Identity, name: Option<&Reference>) -> Result<Wanted, Reason> {
    let pulled = || name.map(Named::pulled).ok_or(Reason::IdentityUnknown);
    // Policies are checked when they are read; what is none of these matches nothing.
    let stated = |text: &str| Named::parse(text).ok_or_else(|| Reason::IdentityNoRule(text.to_owned()));
    let digest_or_exact =
        |named: Named| if named.tag.is_some() { Wanted::Exactly(named) } else { Wanted::Pointed(named) };
    Ok(match identity {
        Identity::MatchExact => Wanted::Exactly(pulled()?),
        Identity::MatchRepoDigestOrExact => digest_or_exact(pulled()?),
        Identity::MatchRepository => Wanted::In(pulled()?.repository),
        Identity::ExactReference(text) => Wanted::Exactly(stated(text)?),
        Identity::ExactRepository(text) => Wanted::In(stated(text)?.repository),
        Identity::RemapIdentity { prefix, signed_prefix } => {
            let pulled = pulled()?;
            let remapped = pulled.remapped(prefix, signed_prefix);
            digest_or_exact(remapped.ok_or_else(|| Reason::IdentityNoRule(signed_prefix.clone()))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a name, a rule and a signed name give: `ok`, or a word for the reason.
    fn verdict(identity: &Identity, pulled: Option<&str>, signed: &str) -> &'static str {
        let pulled = pulled.map(|text| text.parse::<Reference>().unwrap());
        match check(identity, pulled.as_ref(), signed) {
            Ok(()) => "ok",
            Err(Reason::Identity { .. }) => "other",
            Err(Reason::IdentityNameOnly { .. }) => "name only",
            Err(Reason::IdentityNoName { .. }) => "no name",
            Err(Reason::IdentityUnknown) => "unknown",
            Err(Reason::IdentityNoRule(_)) => "no rule",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn rules_and_names() {
        let hex = "a".repeat(64);
        let pinned = format!("a.io/x/y@sha256:{hex}");
        let both = format!("a.io/x/y:v1@sha256:{hex}");
        let remap = |prefix: &str, signed: &str| Identity::RemapIdentity {
            prefix: prefix.to_owned(),
            signed_prefix: signed.to_owned(),
        };
        let (exact, digest_or_exact) = (Identity::MatchExact, Identity::MatchRepoDigestOrExact);
        let repository = Identity::ExactRepository("a.io/x/y".to_owned());
        let reference = Identity::ExactReference("busybox:v1".to_owned());
        for (identity, pulled, signed, expected) in [
            (&exact, Some("a.io/x/y:v1"), "a.io/x/y:v1", "ok"),
            (&exact, Some("a.io/x/y"), "a.io/x/y:latest", "ok"),
            (&exact, Some("a.io/x/y:v1"), "a.io/x/y:v2", "other"),
            (&exact, Some(&pinned), &pinned, "ok"),
            // The tag beside a digest is not looked at, so it must not have been signed either.
            (&exact, Some(&both), &pinned, "ok"),
            (&exact, Some(&both), &both, "other"),
            (&exact, Some(&pinned), "a.io/x/y:v1", "other"),
            (&exact, Some("a.io/x/y:v1"), "a.io/x/y", "name only"),
            (&exact, Some("a.io/x/y:v1"), "a.io/x/z", "other"),
            (&digest_or_exact, Some(&both), "a.io/x/y:v7", "ok"),
            (&digest_or_exact, Some(&pinned), &both, "ok"),
            (&digest_or_exact, Some("a.io/x/y:v1"), &both, "other"),
            (&digest_or_exact, Some("docker.io/busybox:v1"), "busybox:v1", "ok"),
            (&digest_or_exact, Some("docker.io/busybox:v1"), "index.docker.io/library/busybox:v1", "ok"),
            (&digest_or_exact, None, "a.io/x/y:v1", "unknown"),
            (&Identity::MatchRepository, Some("a.io/x/y:v1"), "a.io/x/y", "ok"),
            (&Identity::MatchRepository, Some("a.io/x/y:v1"), "a.io/x/yz", "other"),
            (&Identity::MatchRepository, None, "a.io/x/y", "unknown"),
            (&repository, None, "a.io/x/y", "ok"),
            (&repository, None, "x/y", "other"),
            (&repository, None, "A.io/X/y", "no name"),
            (&repository, None, "", "no name"),
            (&repository, None, &hex, "no name"),
            (&repository, None, "a.io/x/y:", "no name"),
            (&repository, None, "a.io/x/y@sha256:12", "no name"),
            (&reference, None, "docker.io/library/busybox:v1", "ok"),
            (&reference, None, "busybox", "name only"),
            (&remap("a.io", "b.io/m"), Some("a.io/x/y:v1"), "b.io/m/x/y:v1", "ok"),
            (&remap("a.io/x/y", "b.io/m"), Some("a.io/x/y:v1"), "b.io/m:v1", "ok"),
            (&remap("a.io", "b.io/m"), Some(&pinned), "b.io/m/x/y:v9", "ok"),
            (&remap("a.io", "b.io/m"), Some(&pinned), "b.io/m/x/y", "name only"),
            (&remap("a.io", "b.io/m"), Some("a.io/x/y:v1"), "a.io/x/y:v1", "other"),
            (&remap("a.io/x/yy", "b.io"), Some("a.io/x/y:v1"), "a.io/x/y:v1", "ok"),
            (&remap("a.io/x", "b.io"), Some("a.io/xx/y:v1"), "a.io/xx/y:v1", "ok"),
            // What is not the full form of a name is none here.
            (&remap("a.io/x", "docker.io"), Some("a.io/x/y:v1"), "docker.io/y:v1", "no rule"),
        ] {
            assert_eq!(verdict(identity, pulled, signed), expected, "{identity:?} {pulled:?} {signed}");
        }
    }
}
