package main

import (
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
)

// The sizes of kubewright's own measurement, see tests/bench/src/queue.rs.
const (
	queueKeys   = 1_000_000
	steadyKeys  = 1_000
	dueKeys     = 50
	dueWorkers  = 4
	dueDelivers = 20_000
)

type queueRecord struct {
	AddGetDoneNs1M     float64 `json:"add_get_done_ns_1m"`
	AddGetDoneNsSteady float64 `json:"add_get_done_ns_steady"`
	WorstWaitRatio     float64 `json:"worst_wait_ratio"`
}

type queue interface {
	Add(string)
	Get() (string, bool)
	Done(string)
	ShutDown()
}

func queues() (any, error) {
	plain := func() queue {
		return workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	}
	priority := func() queue { return priorityqueue.New[string]("bench") }
	return map[string]queueRecord{"client_go": measureQueue(plain), "controller_runtime": measureQueue(priority)}, nil
}

func measureQueue(make func() queue) queueRecord {
	keys := keysOf(queueKeys)
	return queueRecord{burst(make(), keys), steady(make(), keys[:steadyKeys]), worstWaitRatio(make())}
}

func keysOf(count int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprintf("team-%02d/obj-%06d", i%40, i)
	}
	return keys
}

func burst(q queue, keys []string) float64 {
	defer q.ShutDown()
	started := time.Now()
	for _, key := range keys {
		q.Add(key)
	}
	for range keys {
		key, _ := q.Get()
		q.Done(key)
	}
	return float64(time.Since(started).Nanoseconds()) / float64(len(keys))
}

func steady(q queue, keys []string) float64 {
	defer q.ShutDown()
	started := time.Now()
	for i := range queueKeys {
		q.Add(keys[i%len(keys)])
		key, _ := q.Get()
		q.Done(key)
	}
	return float64(time.Since(started).Nanoseconds()) / queueKeys
}

func worstWaitRatio(q queue) float64 {
	defer q.ShutDown()
	keys := keysOf(dueKeys)
	last, longest := map[string]int{}, map[string]int{}
	for _, key := range keys {
		q.Add(key)
	}
	var held []string
	for delivery := 1; delivery <= dueDelivers; delivery++ {
		key, _ := q.Get()
		longest[key] = max(longest[key], delivery-last[key])
		last[key] = delivery
		if held = append(held, key); len(held) == dueWorkers {
			q.Add(held[0])
			q.Done(held[0])
			held = held[1:]
		}
	}
	least, most := dueDelivers, 0
	for _, key := range keys {
		wait := max(longest[key], dueDelivers-last[key])
		least, most = min(least, wait), max(most, wait)
	}
	return float64(most) / float64(max(1, least))
}
