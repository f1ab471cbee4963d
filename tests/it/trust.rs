//! OpenShift's own policies, where `BOOTC_EMBED_SAMPLES` says that they are; see CONTRIBUTING.md.

use crate::cli::samples::samples;
use bootc_embed::model::{Digest, Reference, Signature, Sigstore};
use bootc_embed::trust::{Candidate, Means, Policy, Reason, Requirement, Verdict, judge, read_policies, scopes};
use std::fs;
use std::time::SystemTime;

/// What the policy says to an image with a signature that nobody made.
fn judged(policy: &Policy, name: &Reference) -> (Vec<Requirement>, Verdict) {
    let (requirements, _) = policy.requirements("docker", &scopes::of_docker(name));
    let annotations = [("dev.cosignproject.cosign/signature".to_owned(), "MEUCIQ==".to_owned())];
    let mime_type = bootc_embed::model::signature::PAYLOAD_TYPE.to_owned();
    let sigstore = Sigstore { mime_type, payload: b"{}".to_vec(), annotations: annotations.into() };
    let signatures = [Ok(Signature::Sigstore(sigstore))];
    let manifest = Digest::of(b"");
    let candidate = Candidate { name: Some(name), manifest: &manifest, signatures: &signatures };
    let means = Means { files: &|_| Err("there are none".to_owned()), now: SystemTime::now(), gpg: None };
    (requirements.to_vec(), judge(requirements, &candidate, &means))
}

#[test]
fn policies_of_real_releases_are_read() {
    let Some(samples) = samples("policies of OpenShift releases") else { return };
    let digest = Digest::of(b"anything");
    for (version, inside, outside) in [
        ("4.21", vec!["ocp-release"], vec!["ocp-v4.0-art-dev", "ocp-release-nightly"]),
        ("4.22", vec!["ocp-release", "ocp-v4.0-art-dev", "ocp-v5.0-art-dev"], vec!["ocp-v6.0-art-dev"]),
    ] {
        let path = samples.join(format!("signatures/ocp-{version}-clusterimagepolicy-openshift.yaml"));
        let file = (path.display().to_string(), fs::read(&path).expect("the sample"));
        let policy = read_policies(&[file]).expect("a policy");
        let name = |repository: &str| format!("quay.io/openshift-release-dev/{repository}@{digest}").parse().unwrap();
        for repository in inside {
            let (requirements, verdict) = judged(&policy, &name(repository));
            assert!(matches!(requirements[..], [Requirement::SigstoreSigned(_)]), "{version} {repository}");
            // The key is one, or another reason would be given.
            let Verdict::Rejected(rejection) = verdict else { panic!("{verdict:?}") };
            assert!(matches!(rejection.reason, Reason::WrongKey(_)), "{version} {repository}: {rejection}");
        }
        for repository in outside {
            let (_, verdict) = judged(&policy, &name(repository));
            assert!(matches!(verdict, Verdict::Accepted(_)), "{version} {repository}: {verdict:?}");
        }
    }
}
