package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/features"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// settle is how long a cache is given to come to rest after its sync, quiet the pause after which no event is expected.
const (
	settle = 2 * time.Second
	quiet  = 3 * time.Second
)

type informerRecord struct {
	Objects             int     `json:"objects"`
	SyncSeconds         float64 `json:"sync_seconds"`
	CPUSeconds          float64 `json:"cpu_seconds"`
	RSSBytesAfterSync   int64   `json:"rss_bytes_after_sync"`
	RSSBytesPeak        int64   `json:"rss_bytes_peak"`
	EventsPerSecond     float64 `json:"events_per_second"`
	EventsDelivered     int64   `json:"events_delivered"`
	RSSBytesSettled     int64   `json:"rss_bytes_settled"`
	RSSBytesAfterEvents int64   `json:"rss_bytes_after_events"`
	RSSBytesPeakOfAll   int64   `json:"rss_bytes_peak_of_all"`
}

// informer measures a shared informer with indexes of namespace, controlling owner and one field.
func informer(arguments []string) (any, error) {
	server, kind, strategy, encoding := arguments[0], arguments[1], arguments[2], arguments[4]
	events, err := strconv.ParseInt(arguments[3], 10, 64)
	if err != nil {
		return nil, err
	}
	handlers, err := strconv.ParseInt(arguments[5], 10, 64)
	if err != nil {
		return nil, err
	}
	config, err := restConfig(server, encoding, strategy)
	if err != nil {
		return nil, err
	}
	client, object, err := restClient(config, kind)
	if err != nil {
		return nil, err
	}
	empty, idle := memoryNow(), cpuSeconds()
	shared, err := sharedInformer(client, object, kind, strategy)
	if err != nil {
		return nil, err
	}
	var seen atomic.Int64
	var last atomic.Int64
	done := make(chan struct{})
	started := time.Now()
	var registration cache.ResourceEventHandlerRegistration
	for range handlers {
		registration, err = shared.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, _ any) {
			last.Store(int64(time.Since(started)))
			if seen.Add(1) == events*handlers {
				close(done)
			}
		}})
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started = time.Now()
	go shared.RunWithContext(ctx)
	for !shared.HasSynced() {
		time.Sleep(time.Millisecond)
	}
	record := informerRecord{SyncSeconds: time.Since(started).Seconds()}
	synced := memoryNow().over(empty)
	record.RSSBytesAfterSync, record.RSSBytesPeak = synced.resident, synced.peak
	for !registration.HasSynced() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(settle)
	record.Objects = len(shared.GetStore().ListKeys())
	record.RSSBytesSettled, record.CPUSeconds = memoryNow().over(empty).resident, cpuSeconds()-idle
	if events > 0 && isURL(server) {
		asked := time.Since(started)
		if err := post(fmt.Sprintf("%s/trigger?m=%d", server, events)); err != nil {
			return nil, err
		}
		wait(done, &seen)
		record.EventsDelivered = seen.Load() / handlers
		record.EventsPerSecond = float64(record.EventsDelivered) / (time.Duration(last.Load()) - asked).Seconds()
	}
	end := memoryNow().over(empty)
	record.RSSBytesAfterEvents, record.RSSBytesPeakOfAll = end.resident, end.peak
	return record, nil
}

// wait returns when all events came, or none for a while.
func wait(done <-chan struct{}, seen *atomic.Int64) {
	for before := int64(-1); before != seen.Load(); {
		before = seen.Load()
		select {
		case <-done:
			return
		case <-time.After(quiet):
		}
	}
}

func byOwner(object any) ([]string, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	if owner := metav1.GetControllerOfNoCopy(accessor); owner != nil {
		return []string{string(owner.UID)}, nil
	}
	return nil, nil
}

func byField(object any) ([]string, error) {
	switch object := object.(type) {
	case *corev1.Pod:
		return []string{object.Spec.NodeName}, nil
	case *Widget:
		return []string{object.Spec.Host}, nil
	}
	return nil, fmt.Errorf("%T is neither a pod nor a widget", object)
}

// isURL tells a server of prepared objects from the path of a kubeconfig.
func isURL(server string) bool { return strings.Contains(server, "://") }

// sharedInformer has the indexes that kubewright's own measurement has.
func sharedInformer(client cache.Getter, object runtime.Object, kind, strategy string) (cache.SharedIndexInformer, error) {
	if features.FeatureGates().Enabled(features.WatchListClient) != (strategy == "stream") {
		return nil, fmt.Errorf("client-go would not read by %s: its feature gates were read too early", strategy)
	}
	lw := cache.NewListWatchFromClient(client, kind, "", fields.Everything())
	return cache.NewSharedIndexInformer(lw, object, 0, cache.Indexers{
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc, "owner": byOwner, "field": byField,
	}), nil
}

// restConfig comes before everything else of client-go, which reads its feature gates once.
func restConfig(server, encoding, strategy string) (*rest.Config, error) {
	switch strategy {
	case "stream":
	case "list":
		// client-go has no other way to say it.
		os.Setenv("KUBE_FEATURE_WatchListClient", "false")
	default:
		return nil, fmt.Errorf("%s is neither stream nor list", strategy)
	}
	config := &rest.Config{Host: server}
	if !isURL(server) {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", server); err != nil {
			return nil, err
		}
	}
	switch encoding {
	case "json":
	case "protobuf":
		config.ContentType = runtime.ContentTypeProtobuf
	default:
		return nil, fmt.Errorf("%s is neither json nor protobuf", encoding)
	}
	// Nothing here is to wait for a limit of the client's own.
	config.QPS = -1
	return config, nil
}

func restClient(config *rest.Config, kind string) (*rest.RESTClient, runtime.Object, error) {
	scheme := runtime.NewScheme()
	var object runtime.Object
	switch kind {
	case "pods":
		if err := corev1.AddToScheme(scheme); err != nil {
			return nil, nil, err
		}
		config.GroupVersion, config.APIPath, object = &corev1.SchemeGroupVersion, "/api", &corev1.Pod{}
	case "widgets":
		addWidgets(scheme)
		config.GroupVersion, config.APIPath, object = &widgets, "/apis", &Widget{}
	default:
		return nil, nil, fmt.Errorf("%s are neither pods nor widgets", kind)
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	return client, object, err
}

func post(url string) error {
	answer, err := http.Post(url, "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", url, answer.Status)
	}
	return nil
}
