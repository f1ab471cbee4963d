//! What can go wrong between this program and a cluster, and what the user can do.

use crate::model::{ImageStreamTag, Kind};
use kube::config::KubeconfigError;
use std::error::Error as StdError;
use std::path::PathBuf;

/// The most that is said of a cause.
const MAX_CAUSE: usize = 1000;

/// What can go wrong between this program and a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A kubeconfig cannot be used.
    #[error("reading the kubeconfig `{path}`: {detail}", path = path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no kubeconfig, and this is no pod.
    #[error("no kubeconfig is there, and this is no pod of a cluster: {detail}")]
    NoCluster {
        /// What a pod would have.
        detail: String,
    },
    /// The proxy to the cluster cannot be used.
    #[error("the proxy to the cluster cannot be used: {detail}")]
    Proxy {
        /// Why not; without its address.
        detail: String,
    },
    /// The credentials that a kubeconfig leads to cannot be had.
    #[error("getting credentials for the cluster: {detail}")]
    Credentials {
        /// Why not.
        detail: String,
    },
    /// No connection, or no answer on it.
    #[error("the cluster at `{server}` cannot be reached: {detail}")]
    Unreachable {
        /// The address of its API.
        server: String,
        /// The network's reason.
        detail: String,
    },
    /// 401.
    #[error("importing `{to}`: the cluster does not know who asks: {detail}")]
    Unauthorized {
        /// The tag.
        to: ImageStreamTag,
        /// What the cluster says.
        detail: String,
    },
    /// 403.
    #[error("importing `{to}`: the cluster forbids it: {detail}")]
    Forbidden {
        /// The tag.
        to: ImageStreamTag,
        /// What the cluster says.
        detail: String,
    },
    /// 404.
    #[error("importing `{to}`: the cluster has no place for it: {detail}")]
    NotFound {
        /// The tag.
        to: ImageStreamTag,
        /// What the cluster says.
        detail: String,
    },
    /// Any other refusal.
    #[error("importing `{to}`: the cluster answered {code}, {detail}")]
    Refused {
        /// The tag.
        to: ImageStreamTag,
        /// The status of HTTP.
        code: u16,
        /// What the cluster says.
        detail: String,
    },
    /// The answer is not the one to this question.
    #[error("importing `{to}`: the answer cannot be used: {detail}")]
    Answer {
        /// The tag.
        to: ImageStreamTag,
        /// What is wrong with it.
        detail: String,
    },
    /// The cluster tried, and did not get or keep the image.
    #[error("importing `{to}`: the cluster could not: {message}")]
    Failed {
        /// The tag.
        to: ImageStreamTag,
        /// The cluster's word for it.
        reason: String,
        /// What the cluster says.
        message: String,
    },
    /// The tag means something else than what was pushed.
    #[error("`{to}` is not what was pushed: {detail}")]
    Different {
        /// The tag.
        to: ImageStreamTag,
        /// What it is.
        detail: String,
    },
    /// Nothing helped in the time that there was.
    #[error("`{to}` was not imported in {seconds} s, tries: {tries}; the last: {last}")]
    GaveUp {
        /// The tag.
        to: ImageStreamTag,
        /// The time that there was.
        seconds: f32,
        /// How often the cluster was asked.
        tries: u32,
        /// How the last try failed.
        last: Box<Error>,
    },
}

impl Error {
    /// Decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Kubeconfig { .. } | Error::NoCluster { .. } => Kind::Usage,
            _ => Kind::Environment,
        }
    }

    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Error::Kubeconfig { .. } => "log in with `oc login`, or name another: `--kubeconfig FILE`".to_owned(),
            Error::NoCluster { .. } => "log in with `oc login`, or name a file: `--kubeconfig FILE`".to_owned(),
            Error::Proxy { .. } => "check `HTTPS_PROXY` and `NO_PROXY`, or `proxy-url` in the kubeconfig".to_owned(),
            Error::Credentials { .. } => {
                "log in anew with `oc login`, or name another kubeconfig: `--kubeconfig FILE`".to_owned()
            }
            Error::Unreachable { detail, .. } if detail.contains("certificate") => {
                "the kubeconfig must name the CA of the cluster's API (`certificate-authority`)".to_owned()
            }
            Error::Unreachable { .. } => "check `server` in the kubeconfig, and the network".to_owned(),
            Error::Unauthorized { .. } => {
                "the token may be too old: log in with `oc login`, or name another kubeconfig: `--kubeconfig FILE`"
                    .to_owned()
            }
            Error::Forbidden { to, .. } => format!(
                "`oc auth can-i create imagestreamimports.image.openshift.io -n {}` says whether this account may",
                to.namespace()
            ),
            Error::NotFound { to, detail } if detail.contains("namespaces ") => {
                format!("make the namespace, `oc new-project {}`, or name another", to.namespace())
            }
            Error::NotFound { .. } => {
                "only OpenShift has image streams; for other clusters leave out `--image-stream`".to_owned()
            }
            Error::Failed { to, reason, message } => of_import(to, reason, message),
            Error::Answer { .. } => {
                "something else than the cluster may have answered: check `server` in the kubeconfig".to_owned()
            }
            Error::Different { .. } => {
                "somebody else may have pushed meanwhile, or the cluster is too old to keep an index".to_owned()
            }
            Error::Refused { code: 422, .. } => {
                "the cluster may allow imports from some registries only: `oc get image.config.openshift.io/cluster -o yaml`"
                    .to_owned()
            }
            Error::Refused { .. } => return Vec::new(),
            Error::GaveUp { last, .. } => {
                let more = "allow it more time with `--import-timeout TIME`; what was pushed is there".to_owned();
                return last.hints().into_iter().chain([more]).collect();
            }
        };
        vec![hint]
    }
}

/// What can be done where the cluster could not read from the registry.
fn of_import(to: &ImageStreamTag, reason: &str, message: &str) -> String {
    if message.contains("x509") || message.contains("certificate") || message.contains("insecure") {
        return "the cluster reads from the registry itself: have it trust the certificate \
                (`additionalTrustedCA` of `image.config.openshift.io/cluster`)"
            .to_owned();
    }
    match reason {
        "Unauthorized" | "Forbidden" => format!(
            "the cluster reads from the registry itself: give namespace `{}` a pull secret for it, \
             and look whether `image.config.openshift.io/cluster` blocks it",
            to.namespace()
        ),
        _ => "the cluster reads from the registry itself: under this name it must find it, and the image".to_owned(),
    }
}

/// What is wrong with a kubeconfig. The text that is no YAML is not repeated: it may be a password.
pub fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is no YAML of that form".to_owned(),
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        other => chain(other),
    }
}

/// Foreign text as one short line.
pub fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CAUSE).collect();
    line.trim().to_owned()
}

/// An error and its causes, each once.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The library's own errors hold their cause's text behind a word that says nothing to people.
        let own = error.to_string();
        let text = one_line(own.strip_prefix("ServiceError: ").or(own.strip_prefix("HyperError: ")).unwrap_or(&own));
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    parts.join(": ")
}
