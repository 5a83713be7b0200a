# Shows the recipes.
[private]
default:
    @just --list

# Runs everything that CI runs.
check:
    .ci/run

# Starts a control plane, runs the website operator on it and shows what happens.
demo:
    cargo run -p controlplane -- demo

# Starts a control plane and prints the kubeconfig to use with kubectl.
up:
    cargo run -p controlplane -- up

# Runs the tests of one crate, or of all.
test crate="":
    cargo test {{ if crate == "" { "--workspace" } else { "-p " + crate } }}

# Runs the checks that need seconds.
tidy:
    cargo test -p tidy
    cargo fmt --all --check

# Measures informers beside kube-rs and client-go; `just bench queue --peers` and others: see tests/bench/README.md.
bench *arguments="compare":
    cargo run --release -p bench -- {{ arguments }}

# Rewrites the snapshots of expansions and messages.
bless:
    UPDATE_EXPECT=1 TRYBUILD=overwrite cargo test --workspace

# Formats all Rust and Go.
fmt:
    cargo fmt --all
    gofmt -w tests/controlplane tests/bench/peers

# Builds the documentation and opens it.
docs:
    cargo doc -p kubewright --no-deps --open

# Checks licences, advisories and sources of dependencies; needs cargo-deny.
deny:
    cargo deny check
