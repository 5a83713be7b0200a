#!/usr/bin/env bash
# Sourced by the scripts beside it: chooses the cluster, and refuses any that kind did not make.

CONTEXT=${CONTEXT:-kind-kubewright}
IMAGE=${IMAGE:-kubewright-website:dev}
readonly CONTEXT IMAGE

# The personal settings of kubectl could change what the scripts see.
export KUBECTL_KUBERC=false

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

say() {
    printf '\n==> %s\n' "$*"
}

# Prints the comment at the head of the calling script when help is asked for, and takes no other argument.
usage() {
    case "${1:-}" in
        "") ;;
        -h | --help)
            sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) die "unknown argument '$1'; see --help" ;;
    esac
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die "$tool is not installed"
    done
}

refuse_other_clusters() {
    [[ $CONTEXT == kind-?* ]] || die "refusing context '$CONTEXT': only contexts that start with kind- are touched"
}

cluster() {
    printf '%s\n' "${CONTEXT#kind-}"
}

kube() {
    kubectl --context "$CONTEXT" "$@"
}
