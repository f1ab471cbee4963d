//! bootc-embed: embeds container images in a bootc image, indexes byte for byte, native layers only,
//! every blob once.
//!
//! ```text
//!  RPM files · installed root · release-info · manifests · quadlets · blueprint · lists · locks …
//!      └────────────────────────┬─────────────────────────────────────────────┘
//!                           discover      files → Release
//!                               │
//!                            resolve      Release × Registry × Platforms → Plan
//!                               │
//!                           signatures    Plan × Registry → Plan, with what signs it
//!                               │
//!                             Plan        the waist: embed.lock.json
//!       ┌───────────────┬───────┴───────┬───────────────┐
//!     emit            fetch           push            serve
//!     files           Store           a registry,     a registry over a Store
//!                                     read back
//!
//!  a release ── prune: payloads, indexes, platforms → a release of these platforms
//!
//!  root · store · image · storage ── target: files → Tree ── validate: Tree × Release → Report
//! ```
//!
//! # Files this program reads and writes
//!
//! It reads its inputs; `containers-auth.json` and docker's `config.json` where they stand by
//! default or where `--authfile` points; `registries.conf` and its drop-ins; registries.d, and lookaside
//! stores that it names; `certs.d`, or the folder of `--cert-dir`; policies, and the keys that they name; templates in `--template-dir`; with the feature `openshift` a kubeconfig and what it names; the targets of `validate` and the root of `explain`.
//!
//! It writes below `--store` and `--cache`, the files that `-o`, `--report` and `--alias-map` name, and, for `embed`, below
//! `--root`: the store, `usr/libexec/bootc-embed/import`,
//! `usr/lib/systemd/system/bootc-embed-import.service` and the link that enables it,
//! `usr/share/bootc-embed/import-policy.json`, `etc/crio/crio.conf.d/50-bootc-embed.conf` and
//! `etc/containers/registries.d/50-bootc-embed.yaml`.

pub mod cli;
#[cfg(feature = "openshift")]
pub mod cluster;
pub mod discover;
pub mod emit;
pub mod fetch;
pub mod model;
pub mod prune;
pub mod push;
pub mod registry;
pub mod resolve;
pub mod serve;
pub mod signatures;
pub mod store;
pub mod target;
pub mod trust;
pub mod validate;
