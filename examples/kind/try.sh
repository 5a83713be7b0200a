#!/usr/bin/env bash
# Walks a website through its life: created, a child deleted, a child edited, the website deleted. Fails where the
# operator does not do what the README says.
#
# Usage: try.sh
#   CONTEXT  kubeconfig context of the cluster; must start with kind- (default: kind-kubewright)

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/context.sh
source "$here/context.sh"

readonly PATIENCE=120s
readonly SAMPLE=$here/../01-website/website.yaml

site() {
    kube --namespace default "$@"
}

usage "$@"
refuse_other_clusters
need kubectl

say "A website appears, and becomes ready"
site apply --filename "$SAMPLE"
site wait website/hello --for condition=Ready --timeout "$PATIENCE"
site get websites,deployments,services

say "A deleted child comes back"
before=$(site get deployment hello --output 'jsonpath={.metadata.uid}')
site delete deployment hello
site wait deployment/hello --for create --timeout "$PATIENCE"
after=$(site get deployment hello --output 'jsonpath={.metadata.uid}')
[[ $before != "$after" ]] || die "the deployment was never deleted"

say "An edited child is put right"
site scale deployment/hello --replicas 5
site wait deployment/hello --for 'jsonpath={.spec.replicas}=2' --timeout "$PATIENCE"
site wait website/hello --for condition=Ready --timeout "$PATIENCE"

say "A deleted website leaves nothing behind"
site delete website hello --timeout "$PATIENCE"
site wait deployment/hello service/hello --for delete --timeout "$PATIENCE"
site delete --filename "$SAMPLE" --ignore-not-found

say "The operator did what the README says"
