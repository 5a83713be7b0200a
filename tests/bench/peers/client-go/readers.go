package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// The sizes of kubewright's own measurement, see tests/bench/src/readers.rs.
const (
	reads   = 200_000
	hotKeys = 16
	queries = 200
	app     = "app.kubernetes.io/name"
)

type readersRecord struct {
	Objects              int     `json:"objects"`
	GetHotNs             float64 `json:"get_hot_ns"`
	ByIndexNsPerObject   float64 `json:"by_index_ns_per_object"`
	NamespaceNsPerObject float64 `json:"namespace_ns_per_object"`
	SelectorNsPerObject  float64 `json:"selector_ns_per_object"`
	RelistSeconds        float64 `json:"relist_seconds"`
	StallSeconds         float64 `json:"stall_seconds"`
	IdleStallSeconds     float64 `json:"idle_stall_seconds"`
}

// readers measures reads of a synced pod informer, and what they feel while it is listed again.
func readers(url string) (any, error) {
	config, err := restConfig(url, "json", "list")
	if err != nil {
		return nil, err
	}
	client, object, err := restClient(config, "pods")
	if err != nil {
		return nil, err
	}
	shared, err := sharedInformer(client, object, "pods", "list")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go shared.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), shared.HasSynced) {
		return nil, errors.New("no sync")
	}
	time.Sleep(settle)
	indexer := shared.GetIndexer()
	pods := listers.NewPodLister(indexer)
	keys := indexer.ListKeys()
	record := readersRecord{Objects: len(keys)}
	get := func(key string) { _, _, _ = indexer.GetByKey(key) }
	started := time.Now()
	for i := range reads {
		get(keys[i%hotKeys])
	}
	record.GetHotNs = float64(time.Since(started).Nanoseconds()) / reads
	record.ByIndexNsPerObject = perObject(indexer.ListIndexFuncValues("field"), func(value string) int {
		found, _ := indexer.ByIndex("field", value)
		return len(found)
	})
	record.NamespaceNsPerObject = perObject(indexer.ListIndexFuncValues(cache.NamespaceIndex), func(value string) int {
		found, _ := pods.Pods(value).List(labels.Everything())
		return len(found)
	})
	record.SelectorNsPerObject = perObject(apps(indexer), func(value string) int {
		found, _ := pods.List(labels.SelectorFromSet(labels.Set{app: value}))
		return len(found)
	})
	_, record.IdleStallSeconds = watched(keys, get, func() { time.Sleep(time.Second) })
	record.RelistSeconds, record.StallSeconds = watched(keys, get, func() { err = relist(url, shared) })
	return record, err
}

func apps(indexer cache.Indexer) []string {
	seen := map[string]bool{}
	var found []string
	for _, object := range indexer.List() {
		if name := object.(*corev1.Pod).Labels[app]; !seen[name] && len(found) < 10 {
			seen[name], found = true, append(found, name)
		}
	}
	return found
}

// perObject returns the nanoseconds that a query takes for each object that it returns.
func perObject(values []string, query func(string) int) float64 {
	started, objects := time.Now(), 0
	for _, value := range values[:min(len(values), queries)] {
		objects += query(value)
	}
	return float64(time.Since(started).Nanoseconds()) / float64(max(1, objects))
}

func relist(url string, shared cache.SharedIndexInformer) error {
	before := shared.LastSyncResourceVersion()
	if err := post(url + "/expire"); err != nil {
		return err
	}
	for shared.LastSyncResourceVersion() == before {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// watched reads without a pause while work is done; it returns how long that took, and the longest read, in seconds.
func watched(keys []string, get func(string), work func()) (float64, float64) {
	var stop atomic.Bool
	longest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for i := 0; !stop.Load(); i++ {
			started := time.Now()
			get(keys[i%hotKeys])
			most = max(most, time.Since(started))
		}
		longest <- most
	}()
	started := time.Now()
	work()
	took := time.Since(started).Seconds()
	stop.Store(true)
	return took, (<-longest).Seconds()
}
