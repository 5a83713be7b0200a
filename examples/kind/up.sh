#!/usr/bin/env bash
# Creates the kind cluster, if it does not exist yet.
#
# Usage: up.sh
#   CONTEXT  kubeconfig context of the cluster; must start with kind- (default: kind-kubewright)

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/context.sh
source "$here/context.sh"

usage "$@"
refuse_other_clusters
need docker kind kubectl

clusters=$(kind get clusters 2>/dev/null)
if grep -Fxq "$(cluster)" <<<"$clusters"; then
    say "The cluster $(cluster) exists"
else
    say "Creating the cluster $(cluster)"
    kind create cluster --name "$(cluster)" --config "$here/kind.yaml" --wait 120s
fi
kube cluster-info
