//! `Platform` and which entries of an index a device of that platform may choose.
//!
//! The order of variants is the one containers/image uses to choose an instance (checked against
//! skopeo), because that is the code that will choose on the device.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An operating system, an architecture and perhaps a variant, in Go's names: `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// For example `linux`.
    pub os: String,
    /// For example `amd64`.
    pub architecture: String,
    /// For example `v7`.
    pub variant: Option<String>,
}

/// A text that is not a platform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a platform: `os/architecture[/variant]` is expected, for example `linux/amd64`")]
pub struct PlatformError(String);

/// Variants of `arm` from the most to the least demanding; a device runs its own and those after it.
const ARM_VARIANTS: [&str; 3] = ["v7", "v6", "v5"];

impl Platform {
    /// Whether it is what attestations and other attachments say they are for.
    pub fn is_of_attachments(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// A platform without variant.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.into(), architecture: architecture.into(), variant: None }
    }

    /// The platform this program was built for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => go_architecture(other),
        };
        Self::new("linux", architecture)
    }

    /// The architecture as RPM and `uname -m` name it, `x86_64` for `amd64`.
    pub fn rpm_architecture(&self) -> &str {
        match self.architecture.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        }
    }

    /// How much a device of this platform wants an entry of `offered`; 0 is best, `None` is not at all.
    ///
    /// Equal ranks are all kept: gzip and zstd twins, and for arm64 the entries with and without
    /// `v8`, of which containers/image prefers now one, now the other, by how it was asked.
    pub fn rank(&self, offered: &Platform) -> Option<usize> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let variant = offered.variant.as_deref().filter(|v| !v.is_empty());
        match (self.architecture.as_str(), self.variant.as_deref(), variant) {
            // For arm, no variant asked for means any device: each finds its own.
            ("arm64", None | Some("v8"), None | Some("v8")) | ("arm", None, _) => Some(0),
            ("arm", Some(wanted), offered) => {
                let from = ARM_VARIANTS.iter().position(|v| *v == wanted);
                match (from, offered) {
                    (_, None) => Some(ARM_VARIANTS.len()),
                    (None, Some(offered)) => (offered == wanted).then_some(0),
                    (Some(from), Some(offered)) => ARM_VARIANTS[from..].iter().position(|v| *v == offered),
                }
            }
            (_, wanted, offered) if wanted == offered => Some(0),
            (_, Some(_), None) => Some(1),
            _ => None,
        }
    }

    /// Whether an image whose config says `config` runs on this platform.
    ///
    /// Looser than [`Platform::rank`]: a config may name a variant where nothing has to be chosen.
    pub fn runs(&self, config: &Platform) -> bool {
        let same = self.os == config.os && self.architecture == config.architecture;
        same && (self.variant.is_none() || config.variant.is_none() || self.rank(config).is_some())
    }
}

/// The Go name of an architecture in the words of `uname -m`; other names stay as they are.
fn go_architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| word(part)) {
            return Err(PlatformError(text.to_owned()));
        }
        Ok(Self {
            os: parts[0].to_owned(),
            architecture: go_architecture(parts[1]).to_owned(),
            variant: parts.get(2).map(|v| (*v).to_owned()),
        })
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;
    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl schemars::JsonSchema for Platform {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Platform".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "os/architecture[/variant]" })
    }
}

/// What an embedded set is for: some platforms, or all that its indexes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// Every instance of every index.
    All,
    /// Only what devices of these platforms may choose.
    Some(Vec<Platform>),
}

impl Platforms {
    /// The chosen platforms; none where all are kept.
    pub fn chosen(&self) -> &[Platform] {
        match self {
            Platforms::All => &[],
            Platforms::Some(platforms) => platforms,
        }
    }

    /// Whether one of them may choose an instance for this platform; one that names none fits all.
    pub fn may_run(&self, offered: Option<&Platform>) -> bool {
        let Platforms::Some(wanted) = self else { return true };
        offered.is_none_or(|offered| wanted.iter().any(|w| w.runs(offered) || w.rank(offered).is_some()))
    }

    /// Whether files for this RPM architecture (`x86_64`, `aarch64`) are of interest.
    pub fn wants_rpm_architecture(&self, name: &str) -> bool {
        match self {
            Platforms::All => true,
            Platforms::Some(platforms) => platforms.iter().any(|p| p.rpm_architecture() == name),
        }
    }
}

impl fmt::Display for Platforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Platforms::All => f.write_str("all platforms"),
            Platforms::Some(platforms) => {
                let names: Vec<String> = platforms.iter().map(Platform::to_string).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn ranks_as_containers_image_chooses() {
        for (wanted, offered, rank) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "linux/amd64/v3", None),
            ("linux/amd64/v3", "linux/amd64/v3", Some(0)),
            ("linux/amd64/v3", "linux/amd64", Some(1)),
            ("linux/arm64", "linux/arm64", Some(0)),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64/v8", "linux/arm64", Some(0)),
            ("linux/arm64", "linux/arm64/v9", None),
            ("linux/arm/v7", "linux/arm/v7", Some(0)),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v7", "linux/arm", Some(3)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm/v6", "linux/arm/v6", Some(0)),
            ("linux/arm", "linux/arm/v6", Some(0)),
            ("linux/amd64", "unknown/unknown", None),
        ] {
            assert_eq!(platform(wanted).rank(&platform(offered)), rank, "{wanted} wants {offered}");
        }
    }

    #[test]
    fn parses_and_prints() {
        assert_eq!(platform("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(platform("linux/aarch64/v8").to_string(), "linux/arm64/v8");
        for wrong in ["amd64", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/../etc", ""] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
    }
}
