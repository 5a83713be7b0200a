package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/version"
)

const (
	// The kubelet's own period and duration: a Lease not renewed for leaseDuration makes the node NotReady.
	leasePeriod   = 10 * time.Second
	leaseDuration = 40 * time.Second
	// The API server answers on loopback; a longer wait means that it is gone.
	requestTimeout = 5 * time.Second
	retryPeriod    = 200 * time.Millisecond
	podWorkers     = 8
)

// kubelet does what the rest of Kubernetes sees a kubelet do, without running anything: its node is Ready, the pods
// bound to it run and are ready, and their deletion completes.
type kubelet struct {
	node   string
	client kubernetes.Interface
	pods   corelisters.PodLister
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	// gate is held for reading by whatever changes pods or the node, and for writing while paused.
	gate      sync.RWMutex
	addresses podAddresses
}

// runKubelet runs the fake kubelet until standard input closes. It understands the lines "pause" and "resume", and
// answers on standard output with "paused" and "resumed" once they hold, and with "ready" once its node is Ready.
func runKubelet(arguments []string) int {
	flags := flag.NewFlagSet("kubelet", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "credentials for the API server")
	node := flags.String("node", "fake-node", "name of the node to register")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 1
	}
	config.UserAgent = "fake-kubelet"
	config.QPS = -1 // Tests create many pods at once: no client-side limit.

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	k := &kubelet{
		node:   *node,
		client: kubernetes.NewForConfigOrDie(config),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](20*time.Millisecond, 5*time.Second)),
	}
	go k.run(ctx)

	k.obey(os.Stdin)
	return 0
}

func (k *kubelet) run(ctx context.Context) {
	k.retry(ctx, "register the node", k.registerNode)
	k.retry(ctx, "renew the lease", k.renewLease)
	go func() {
		ticker := time.NewTicker(leasePeriod)
		defer ticker.Stop()
		for range ticker.C {
			k.retry(ctx, "renew the lease", k.renewLease)
		}
	}()

	// Only the pods bound to this node, as the real kubelet asks for them.
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", k.node).String()
	}))
	pods := factory.Core().V1().Pods()
	k.pods = pods.Lister()
	enqueue := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			k.queue.Add(cache.MetaObjectToName(pod))
		}
	}
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
	}); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet: watch pods:", err)
		os.Exit(1)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	// The API server is ready before it has created the namespaces that every cluster has.
	k.retry(ctx, "find the namespace default", func(ctx context.Context) error {
		_, err := k.client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		return err
	})
	fmt.Println("ready")

	for range podWorkers {
		go func() {
			for k.syncNextPod(ctx) {
			}
		}()
	}
}

// obey reads orders until input closes.
func (k *kubelet) obey(input *os.File) {
	paused := false
	orders := bufio.NewScanner(input)
	for orders.Scan() {
		switch order := orders.Text(); order {
		case "pause":
			if !paused {
				k.gate.Lock() // Waits for the changes under way.
			}
			paused = true
			fmt.Println("paused")
		case "resume":
			if paused {
				k.gate.Unlock()
			}
			paused = false
			fmt.Println("resumed")
		default:
			fmt.Fprintf(os.Stderr, "kubelet: no order %q\n", order)
		}
	}
}

func (k *kubelet) syncNextPod(ctx context.Context) bool {
	name, shutdown := k.queue.Get()
	if shutdown {
		return false
	}
	defer k.queue.Done(name)

	k.gate.RLock()
	err := k.syncPod(ctx, name)
	k.gate.RUnlock()

	if err != nil && !apierrors.IsNotFound(err) {
		if !apierrors.IsConflict(err) {
			fmt.Fprintf(os.Stderr, "kubelet: pod %s: %v\n", name, err)
		}
		k.queue.AddRateLimited(name)
		return true
	}
	k.queue.Forget(name)
	return true
}

func (k *kubelet) syncPod(ctx context.Context, name cache.ObjectName) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	pod, err := k.pods.Pods(name.Namespace).Get(name.Name)
	if err != nil {
		return err
	}
	if pod.DeletionTimestamp != nil {
		// The second deletion, without grace, is how a kubelet says that the containers have ended.
		options := metav1.NewDeleteOptions(0)
		options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
		return k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	desired, changed := runningStatus(pod, &k.addresses, metav1.Now())
	if !changed {
		return nil
	}
	pod = pod.DeepCopy()
	pod.Status = desired
	_, err = k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

func (k *kubelet) registerNode(ctx context.Context) error {
	k.gate.RLock()
	defer k.gate.RUnlock()

	nodes := k.client.CoreV1().Nodes()
	node, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   k.node,
		Labels: map[string]string{corev1.LabelHostname: k.node, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		node, err = nodes.Get(ctx, k.node, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	// The node lifecycle controller may have tainted the node in between.
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node.Status = nodeStatus(k.node, metav1.Now())
		if _, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); apierrors.IsConflict(err) {
			if latest, getErr := nodes.Get(ctx, k.node, metav1.GetOptions{}); getErr == nil {
				node = latest
			}
		}
		return err
	})
}

func (k *kubelet) renewLease(ctx context.Context) error {
	leases := k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	seconds := int32(leaseDuration / time.Second)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, k.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: k.node},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &k.node, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// retry repeats attempt until it succeeds or ctx ends: the API server may be starting, or killed by a test.
func (k *kubelet) retry(ctx context.Context, what string, attempt func(context.Context) error) {
	var last string
	for ctx.Err() == nil {
		attemptCtx, cancel := context.WithTimeout(ctx, requestTimeout)
		err := attempt(attemptCtx)
		cancel()
		if err == nil {
			return
		}
		if err.Error() != last {
			last = err.Error()
			fmt.Fprintf(os.Stderr, "kubelet: %s: %v\n", what, err)
		}
		time.Sleep(retryPeriod)
	}
}

func nodeStatus(name string, now metav1.Time) corev1.NodeStatus {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("64"),
		corev1.ResourceMemory:           resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		// Real nodes stop at 110; here one node stands for a small cluster.
		corev1.ResourcePods: resource.MustParse("2000"),
	}
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	return corev1.NodeStatus{
		Capacity:    resources,
		Allocatable: resources,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name},
			{Type: corev1.NodeInternalIP, Address: nodeAddress},
		},
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
		},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion:          version.Get().GitVersion,
			OperatingSystem:         "linux",
			Architecture:            "amd64",
			OSImage:                 "none: a fake kubelet",
			KernelVersion:           "none",
			ContainerRuntimeVersion: "fake://1.0.0",
		},
	}
}
