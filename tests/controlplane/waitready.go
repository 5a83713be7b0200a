package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// runWaitReady returns once the API server says that it is ready, or fails when input closes first.
func runWaitReady(arguments []string) int {
	flags := flag.NewFlagSet("wait-ready", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, "wait-ready:", err)
		return 1
	}
	config.QPS = -1
	config.Timeout = time.Second
	readyz := kubernetes.NewForConfigOrDie(config).Discovery().RESTClient()
	for readyz.Get().AbsPath("/readyz").Do(context.Background()).Error() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	return 0
}
