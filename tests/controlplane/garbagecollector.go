package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

const (
	// kube-controller-manager looks for new kinds every 30 s and has no flag for it: until then the deletion of an
	// object of a new kind goes unnoticed, and a test that has just created a CRD would wait that long.
	garbageDiscoveryPeriod = time.Second
	// As many as kube-controller-manager has.
	garbageWorkers       = 20
	garbageFirstSync     = 30 * time.Second
	garbageCollectorName = "generic-garbage-collector"
)

// runGarbageCollector runs the garbage collector of kube-controller-manager in a process of its own.
func runGarbageCollector(arguments []string) int {
	flags := flag.NewFlagSet("garbage-collector", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err == nil {
		config.UserAgent = garbageCollectorName
		config.QPS = -1
		err = collectGarbage(context.Background(), config)
	}
	fmt.Fprintln(os.Stderr, "garbage-collector:", err)
	return 1
}

func collectGarbage(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	// The collector resets its mapper when discovery has changed, so the two must not share a discovery client.
	mapped, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(mapped))
	typed := informers.NewSharedInformerFactory(client, 0)
	untyped := metadatainformer.NewSharedInformerFactory(metadataClient, 0)
	started := make(chan struct{})
	collector, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient, mapper,
		garbagecollector.DefaultIgnoredResources(), informerfactory.NewInformerFactory(typed, untyped), started)
	if err != nil {
		return err
	}
	typed.Start(ctx.Done())
	untyped.Start(ctx.Done())
	close(started)
	go collector.Sync(ctx, client.Discovery(), garbageDiscoveryPeriod)
	collector.Run(ctx, garbageWorkers, garbageFirstSync)
	return ctx.Err()
}
