"""Checks manifests against Kubernetes' own schemas and refuses unknown fields. Prints them as one JSON object: file to
documents."""

import json
import pathlib
import sys

import kubernetes_validate
import yaml

folder, *versions = sys.argv[1:]
manifests = {}
for path in sorted(pathlib.Path(folder).glob("*.yaml")):
    documents = list(yaml.safe_load_all(path.read_text()))
    if path.name != "kustomization.yaml":
        for document in documents:
            for version in versions:
                kubernetes_validate.validate(document, version, strict=True)
    manifests[path.name] = documents
json.dump(manifests, sys.stdout)
