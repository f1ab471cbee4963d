//! In what registries differ that takes uploads.

/// What happens to an index of which some instances are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sparse {
    /// Refused with one `MANIFEST_BLOB_UNKNOWN` for each missing instance: distribution 2.8, distribution 3 as
    /// it comes, Harbor.
    Refuse,
    /// Refused with one `MANIFEST_INVALID`, which names nothing: so do zot, Gitea and Nexus, more or less.
    RefuseVaguely,
    /// Taken: distribution 3 with `platforms: none`.
    Accept,
    /// Instances of these platforms (`linux/amd64`) must be there, the others need not: distribution 3 with `list`.
    List(Vec<String>),
    /// What `X-Sparse-Manifest-Support` says on `GET /v2/`; `None` is no such header, as up to Quay 3.16. Only
    /// `Some(true)` takes the index.
    Quay(Option<bool>),
}

/// Whether credentials are asked for; the right ones are `user` and `secret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// No.
    None,
    /// HTTP basic.
    Basic,
    /// A token, good for the repositories and the actions that it was asked for and for nothing else.
    Bearer,
}

/// How a registry behaves. The default is distribution 3 with `platforms: none`, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a difference of its own, and tests name them")]
pub struct Behaviour {
    /// What happens to an index of which some instances are missing.
    pub sparse: Sparse,
    /// Docker lists with OCI children are refused, and what no tag reaches is gone after an hour.
    pub quay: bool,
    /// Whether credentials are asked for.
    pub auth: Auth,
    /// Whether a blob can be mounted from another repository; else an upload begins.
    pub mounts: bool,
    /// Whether it lists referrers, and says so by `OCI-Subject` to who uploads one.
    pub referrers: bool,
    /// Whether what came of a broken-off upload is kept, and the old address still tells how much. Else the upload is
    /// forgotten, and so is one that goes on at an old address: distribution does that.
    pub resumes: bool,
    /// Whether `Location` is a path; else it is a whole address.
    pub relative_locations: bool,
    /// Whether uploads go to [`super::WritableRegistry::other_host`], where nobody asks for credentials.
    pub uploads_elsewhere: bool,
    /// Whether one POST can bring a whole blob; distribution ignores its digest and begins an upload.
    pub whole_in_post: bool,
    /// Manifests of more bytes are refused with 413.
    pub max_manifest: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            sparse: Sparse::Accept,
            quay: false,
            auth: Auth::None,
            mounts: true,
            referrers: false,
            resumes: false,
            relative_locations: false,
            uploads_elsewhere: false,
            whole_in_post: true,
            max_manifest: 4 << 20,
        }
    }
}
