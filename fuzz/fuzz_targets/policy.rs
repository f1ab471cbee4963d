//! policy.json: any bytes, and what they say of an image.

#![no_main]

use bootc_embed::trust::{Policy, admits, scopes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(policy) = Policy::parse(data) else { return };
    let reference = "a.example.com:5000/team/app:v1".parse().expect("a reference");
    for (transport, scopes) in [("dir", scopes::of_dir("/usr/lib/x")), ("docker", scopes::of_docker(&reference))] {
        let (requirements, _) = policy.requirements(transport, &scopes);
        assert!(!requirements.is_empty(), "a policy without requirements was read");
        let _ = admits(requirements);
    }
});
