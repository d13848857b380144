//! The manifests: valid by Kubernetes' own schemas, restricted, and consistent with each other.

use std::path::Path;

use serde_json::{Value, json};

use super::{content, read, repository};

/// The oldest Kubernetes version that supports the manifests, and a new one.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];

/// All manifests, after the check against the schemas.
fn manifests() -> Value {
    let python = std::env::var("MEETING_CLOSER_KUBERNETES_PYTHON").expect(
        "tests/run installs the schemas and names their interpreter in MEETING_CLOSER_KUBERNETES_PYTHON",
    );
    let script = repository("tests/it/deploy/kubernetes.py");
    let folder = repository("deploy/kubernetes");
    let arguments = [&script, &folder].map(|path| path.to_str().unwrap());
    let printed = content(&python, arguments.into_iter().chain(VERSIONS), Path::new("/"));
    serde_json::from_str(&printed).unwrap()
}

/// The two pod specifications.
fn pods(manifests: &Value) -> [&Value; 2] {
    let job = &manifests["cronjob.yaml"][0]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    [job, &manifests["deployment.yaml"][0]["spec"]["template"]["spec"]]
}

#[test]
fn every_manifest_is_valid_and_the_kustomization_names_them_all() {
    let manifests = manifests();
    let kustomization = &manifests["kustomization.yaml"][0];
    let mut named: Vec<&str> =
        kustomization["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    named.sort_unstable();
    let files: Vec<&String> =
        manifests.as_object().unwrap().keys().filter(|name| *name != "kustomization.yaml").collect();
    assert_eq!(named, files);
    assert_eq!(kustomization["namespace"], manifests["namespace.yaml"][0]["metadata"]["name"]);
    let generators = [("configMapGenerator", "settings.toml"), ("secretGenerator", "app_secret")];
    for (generator, file) in generators {
        assert_eq!(kustomization[generator], json!([{"name": "meeting-closer", "files": [file]}]));
    }
    assert_eq!(kustomization["images"][0]["newTag"], env!("CARGO_PKG_VERSION"));
    // The secret is not in the repository, and git ignores its file.
    assert!(!repository("deploy/kubernetes/app_secret").exists());
    assert_eq!(read("deploy/kubernetes/.gitignore"), "/app_secret\n");
}

#[test]
fn the_pods_have_only_the_rights_that_they_need() {
    let manifests = manifests();
    for pod in pods(&manifests) {
        assert_eq!(pod["automountServiceAccountToken"], false);
        let of_pod = &pod["securityContext"];
        assert_eq!(of_pod["runAsNonRoot"], true);
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
        assert!(read("deploy/Dockerfile").contains(&format!("USER {0}:{0}\n", of_pod["runAsUser"])));
        let container = &pod["containers"][0];
        let expected = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], expected);
        assert!(container["resources"]["limits"]["memory"].is_string());
        // Ten seconds for requests in flight, and time for the reports.
        assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(30));
        let environment =
            json!([{"name": "MEETING_CLOSER_CONFIG", "value": "/etc/meeting-closer/settings.toml"}]);
        assert_eq!(container["env"], environment);
    }
    let policy = &manifests["namespace.yaml"][0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(policy, "restricted");
}

#[test]
fn every_folder_that_the_settings_name_is_mounted_and_every_volume_exists() {
    let manifests = manifests();
    let claims: Vec<&Value> = manifests["storage.yaml"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| &claim["metadata"]["name"])
        .collect();
    let settings: toml::Table = read("deploy/kubernetes/settings.toml").parse().unwrap();
    let named = [&settings["audit"]["dir"], &settings["dingtalk"]["app_secret_file"]];
    for pod in pods(&manifests) {
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        for path in named {
            let path = Path::new(path.as_str().unwrap());
            assert!(
                mounts.iter().any(|mount| path.starts_with(mount["mountPath"].as_str().unwrap())),
                "{path:?}"
            );
        }
        let volumes = pod["volumes"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| volumes.iter().any(|volume| volume["name"] == mount["name"])));
        for volume in volumes {
            let claim = &volume["persistentVolumeClaim"]["claimName"];
            assert!(claim.is_null() || claims.contains(&claim), "{claim}");
        }
    }
    // Each pod has its own audit volume, because a volume has one writer.
    let audit = |pod: &Value| {
        pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "audit").cloned()
    };
    let [job, worker] = pods(&manifests);
    assert_ne!(audit(job), audit(worker));
}

#[test]
fn the_evening_job_never_runs_twice_at_once_and_avoids_the_full_hour() {
    let manifests = manifests();
    let spec = &manifests["cronjob.yaml"][0]["spec"];
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    assert!(spec["timeZone"].is_string() && spec["startingDeadlineSeconds"].as_u64() > Some(600));
    assert_ne!(spec["schedule"].as_str().unwrap().split(' ').next(), Some("0"));
    let job = &spec["jobTemplate"]["spec"];
    // The same command continues after 4. After the others, a person must look.
    assert_eq!(job["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"], json!([1, 2, 3, 5]));
    assert_eq!(job["template"]["spec"]["restartPolicy"], "Never");
    let arguments = job["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    assert_eq!(arguments[..2], ["close", "--yes"]);
}

#[test]
fn the_probes_use_the_workers_port_and_the_network_policy_allows_only_what_is_needed() {
    let manifests = manifests();
    let settings: toml::Table = read("deploy/kubernetes/settings.toml").parse().unwrap();
    let port: u64 =
        settings["metrics"]["listen"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let worker = &pods(&manifests)[1]["containers"][0];
    assert_eq!(worker["ports"], json!([{"name": "metrics", "containerPort": port}]));
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(worker[probe]["httpGet"], json!({"path": path, "port": "metrics"}));
    }
    assert!(settings["queue"]["url"].as_str().unwrap().ends_with(":6379"));
    let policy = &manifests["networkpolicy.yaml"][0]["spec"];
    let ports = |rules: &Value| -> Vec<u64> {
        let rules = rules.as_array().unwrap().iter();
        rules
            .flat_map(|rule| rule["ports"].as_array().unwrap())
            .map(|port| port["port"].as_u64().unwrap())
            .collect()
    };
    assert_eq!((ports(&policy["ingress"]), ports(&policy["egress"])), (vec![port], vec![53, 53, 443, 6379]));
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
}
