// Command clientgo measures client-go and controller-runtime beside kubewright, and prints the JSON lines that
// kubewright's own benchmark prints.
//
//	clientgo queue
//	clientgo informer URL|KUBECONFIG pods|widgets stream|list EVENTS json|protobuf HANDLERS
//	clientgo readers URL
//	clientgo reconcile URL EVENTS WORKERS
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	record, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(record)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clientgo:", err)
		os.Exit(1)
	}
}

func run(arguments []string) (any, error) {
	switch {
	case len(arguments) == 7 && arguments[0] == "informer":
		return informer(arguments[1:])
	case len(arguments) == 1 && arguments[0] == "queue":
		return queues()
	case len(arguments) == 2 && arguments[0] == "readers":
		return readers(arguments[1])
	case len(arguments) == 4 && arguments[0] == "reconcile":
		return reconcile(arguments[1:])
	default:
		return nil, fmt.Errorf("usage: see the head of main.go; got %q", arguments)
	}
}
