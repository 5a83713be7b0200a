package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// eventsPerSecond and patience are those of kubewright's own measurement.
const (
	eventsPerSecond = 1000
	patience        = 5 * time.Second
)

type reconcileRecord struct {
	Objects             int     `json:"objects"`
	ReconcilesPerSecond float64 `json:"reconciles_per_second"`
	LatencyP99Seconds   float64 `json:"latency_p99_seconds"`
	LatencyP50Seconds   float64 `json:"latency_p50_seconds"`
	LatencyEvents       int     `json:"latency_events"`
	EventsPerSecond     float64 `json:"events_per_second"`
}

// progress counts first reconciles up to all of them, then tells which event was seen when.
type progress struct {
	client     client.Client
	epoch      time.Time
	objects    int64
	reconciled atomic.Int64
	all        chan struct{}
	version    uint64
	begun      []atomic.Int64
}

// Reconcile reads the object from the cache, as every reconciler does, and does nothing.
func (p *progress) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var widget Widget
	if err := p.client.Get(ctx, request.NamespacedName, &widget); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if p.reconciled.Add(1) == p.objects {
		close(p.all)
	}
	if version, err := strconv.ParseUint(widget.ResourceVersion, 10, 64); err == nil && version > p.version {
		if event := version - p.version - 1; event < uint64(len(p.begun)) {
			p.begun[event].CompareAndSwap(0, int64(time.Since(p.epoch)))
		}
	}
	return ctrl.Result{}, nil
}

// reconcile measures a controller of controller-runtime that does nothing, over every widget.
func reconcile(arguments []string) (any, error) {
	url := arguments[0]
	events, err := strconv.Atoi(arguments[1])
	if err != nil {
		return nil, err
	}
	workers, err := strconv.Atoi(arguments[2])
	if err != nil {
		return nil, err
	}
	ctrl.SetLogger(logr.Discard())
	objects, version, err := present(url)
	if err != nil {
		return nil, err
	}
	manager, err := ctrl.NewManager(&rest.Config{Host: url, QPS: -1}, ctrl.Options{
		Scheme:         schemeOfWidgets(),
		Metrics:        server.Options{BindAddress: "0"},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper(), nil },
	})
	if err != nil {
		return nil, err
	}
	p := &progress{
		client: manager.GetClient(), epoch: time.Now(), objects: int64(objects), all: make(chan struct{}),
		version: version, begun: make([]atomic.Int64, events),
	}
	err = ctrl.NewControllerManagedBy(manager).For(&Widget{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := time.Now()
	failed := make(chan error, 1)
	go func() { failed <- manager.Start(ctx) }()
	select {
	case <-p.all:
	case err := <-failed:
		return nil, fmt.Errorf("the manager ended: %v", err)
	}
	record := reconcileRecord{Objects: objects, ReconcilesPerSecond: float64(objects) / time.Since(started).Seconds()}
	return p.latencies(url, record)
}

// latencies asks for events one by one.
func (p *progress) latencies(url string, record reconcileRecord) (any, error) {
	asked := make([]int64, len(p.begun))
	started := time.Now()
	for i := range asked {
		// What could not be asked for in time is made up for: the rate is that of the mean.
		time.Sleep(time.Until(started.Add(time.Duration(i) * time.Second / eventsPerSecond)))
		asked[i] = int64(time.Since(p.epoch))
		if err := post(url + "/trigger?m=1"); err != nil {
			return nil, err
		}
	}
	record.EventsPerSecond = float64(len(asked)) / time.Since(started).Seconds()
	for until := time.Now().Add(patience); time.Now().Before(until) && p.begun[len(p.begun)-1].Load() == 0; {
		time.Sleep(10 * time.Millisecond)
	}
	var took []float64
	for i := range asked {
		if begun := p.begun[i].Load(); begun != 0 {
			took = append(took, time.Duration(begun-asked[i]).Seconds())
		}
	}
	sort.Float64s(took)
	if record.LatencyEvents = len(took); len(took) == 0 {
		return nil, fmt.Errorf("no event was seen")
	}
	at := func(part float64) float64 {
		return took[min(int(math.Floor(float64(len(took))*part)), len(took)-1)]
	}
	record.LatencyP50Seconds, record.LatencyP99Seconds = at(0.5), at(0.99)
	return record, nil
}

// present returns how many widgets there are, and at which version.
func present(url string) (int, uint64, error) {
	answer, err := http.Get(url + "/apis/bench.example.com/v1/widgets?limit=1")
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	var list WidgetList
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return 0, 0, err
	}
	version, err := strconv.ParseUint(list.ResourceVersion, 10, 64)
	objects := len(list.Items)
	if list.RemainingItemCount != nil {
		objects += int(*list.RemainingItemCount)
	}
	return objects, version, err
}

func schemeOfWidgets() *runtime.Scheme {
	scheme := runtime.NewScheme()
	addWidgets(scheme)
	return scheme
}

// mapper spares the server discovery.
func mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(widgets.WithKind("Widget"), meta.RESTScopeNamespace)
	return mapper
}
