#!/usr/bin/env bash
# Builds the image of the website operator, loads it into the kind cluster and deploys it with the manifests it prints.
#
# Usage: deploy.sh
#   CONTEXT  kubeconfig context of the cluster; must start with kind- (default: kind-kubewright)
#   IMAGE    name and tag of the image; a tag other than latest (default: kubewright-website:dev)

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/context.sh
source "$here/context.sh"

readonly NAMESPACE=website-system

# With the containerd image store of newer Docker versions, `kind load docker-image` looks for layers of platforms that
# were never pulled and fails (kubernetes-sigs/kind#3795). An archive of what is there loads in either case.
load() {
    if kind load docker-image "$IMAGE" --name "$(cluster)"; then
        return
    fi
    say "kind could not load the image: trying an archive of it"
    local archive
    archive=$(mktemp -d)
    docker save "$IMAGE" --output "$archive/image.tar"
    kind load image-archive "$archive/image.tar" --name "$(cluster)"
    rm -r "$archive"
}

usage "$@"
refuse_other_clusters
need docker kind kubectl
[[ $IMAGE != *:latest && $IMAGE == *:* ]] || die "give $IMAGE a tag other than latest: Kubernetes would try to pull it"

say "Building $IMAGE"
docker build --file "$here/Dockerfile" --tag "$IMAGE" "$here/../.."

say "Loading it into $(cluster)"
load

say "Applying the manifests that the operator prints"
docker run --rm "$IMAGE" manifests --image "$IMAGE" --namespace "$NAMESPACE" | kube apply --server-side --filename -

say "Waiting for the operator"
kube --namespace "$NAMESPACE" wait deployment --all --for condition=Available --timeout 180s
