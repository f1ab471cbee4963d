//! One policy of several files: a policy.json, and OpenShift's objects laid over it as its
//! machine-config-operator does.

use super::json::{Json, wrong};
use super::openshift::{self, ImagePolicy, is_nested};
use super::policy::{Policy, PolicyError};
use super::requirement::Requirement;
use std::collections::BTreeMap;

/// Reads one policy of several files, each with the name to show it by.
///
/// At most one is a policy.json; without any, everything is accepted that no other file speaks of, as
/// on a node of OpenShift. The others hold ClusterImagePolicy and ImagePolicy objects. Each adds a
/// requirement to its scopes; where several are for one scope all must be fulfilled. What an
/// ImagePolicy says of a scope that stands within one of a ClusterImagePolicy does not count.
///
/// An ImagePolicy is for one namespace. Which one a workload will be in is not known here, so those of
/// all namespaces must be fulfilled: what passes starts in each of them.
pub fn read_policies(files: &[(String, Vec<u8>)]) -> Result<Policy, PolicyError> {
    let mut base: Option<(&str, Policy)> = None;
    let mut found = Vec::new();
    for (file, bytes) in files {
        let in_file = |e: PolicyError| PolicyError { file: file.clone(), ..e };
        match read(bytes).map_err(in_file)? {
            File::Policy(policy) => {
                if let Some((other, _)) = base.replace((file, policy)) {
                    let detail = format!("it is a policy.json, as {other} is, and a device reads only one");
                    return Err(in_file(wrong("", detail)));
                }
            }
            File::Objects(policies) if policies.is_empty() => {
                return Err(in_file(wrong("", "it holds neither a policy.json nor a ClusterImagePolicy")));
            }
            File::Objects(policies) => found.extend(policies),
        }
    }
    let accept_anything = || Policy { default: vec![Requirement::InsecureAcceptAnything], transports: BTreeMap::new() };
    let mut policy = base.map_or_else(accept_anything, |(_, policy)| policy);
    lay_over(&mut policy, found);
    Ok(policy)
}

enum File {
    Policy(Policy),
    Objects(Vec<ImagePolicy>),
}

fn read(bytes: &[u8]) -> Result<File, PolicyError> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return openshift::parse(bytes).map(File::Objects);
    }
    let json = Json::parse(bytes)?;
    let is_object =
        matches!(&json, Json::Object(fields) if fields.iter().any(|(key, _)| key == "kind" || key == "apiVersion"));
    if is_object { openshift::of_document(json).map(File::Objects) } else { Policy::read(json).map(File::Policy) }
}

fn lay_over(policy: &mut Policy, found: Vec<ImagePolicy>) {
    let (of_cluster, of_namespaces): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|policy| policy.namespace.is_none());
    let of_cluster_scopes: Vec<String> = of_cluster.iter().flat_map(|policy| policy.scopes.clone()).collect();
    for ImagePolicy { namespace, scopes, requirement } in of_cluster.into_iter().chain(of_namespaces) {
        for scope in scopes {
            if namespace.is_some() && of_cluster_scopes.iter().any(|outer| is_nested(&scope, outer)) {
                continue;
            }
            let docker = policy.transports.entry("docker".to_owned()).or_default();
            let requirement = Requirement::SigstoreSigned(requirement.clone());
            docker.entry(scope).or_default().push(requirement);
        }
    }
}
