//! ClusterImagePolicy and ImagePolicy objects, alone and laid over a policy.json: any bytes.

#![no_main]

use bootc_embed::trust::{Requirement, openshift, read_policies, scopes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let base = br#"{"default":[{"type":"reject"}]}"#;
    let files = [("base".to_owned(), base.to_vec()), ("objects".to_owned(), data.to_vec())];
    let _ = read_policies(&files[1..]);
    let (Ok(found), Ok(policy)) = (openshift::parse(data), read_policies(&files)) else { return };
    // A name in a scope of a cluster's policy is not accepted without a signature.
    for scope in found.iter().filter(|policy| policy.namespace.is_none()).flat_map(|policy| &policy.scopes) {
        let Ok(name) = format!("{scope}/name:v1").parse() else { continue };
        let (requirements, _) = policy.requirements("docker", &scopes::of_docker(&name));
        assert!(requirements.iter().any(|found| matches!(found, Requirement::SigstoreSigned(_))), "{scope}");
    }
});
