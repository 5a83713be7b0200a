#!/usr/bin/env bash
# Deletes the kind cluster with everything in it.
#
# Usage: down.sh
#   CONTEXT  kubeconfig context of the cluster; must start with kind- (default: kind-kubewright)

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/context.sh
source "$here/context.sh"

usage "$@"
refuse_other_clusters
need kind

kind delete cluster --name "$(cluster)"
