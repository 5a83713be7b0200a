package main

import (
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Addresses from blocks reserved for documentation and for pods: nothing listens there.
const nodeAddress = "192.0.2.1"

// podAddresses hands out addresses of 10.244.0.0/16, beginning again after 65,000 pods.
type podAddresses struct{ issued atomic.Uint32 }

func (a *podAddresses) next() string {
	n := a.issued.Add(1) % 65000
	return fmt.Sprintf("10.244.%d.%d", n>>8, n&0xff)
}

// runningStatus returns the status of a pod whose containers all run and are ready, and whether that differs from the
// status that the pod has. Addresses, start times and unknown conditions that are there stay.
func runningStatus(pod *corev1.Pod, addresses *podAddresses, now metav1.Time) (corev1.PodStatus, bool) {
	status := *pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	status.Phase = corev1.PodRunning
	status.HostIP = nodeAddress
	status.HostIPs = []corev1.HostIP{{IP: nodeAddress}}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	if status.PodIP == "" {
		status.PodIP = nodeAddress
		if !pod.Spec.HostNetwork {
			status.PodIP = addresses.next()
		}
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}

	status.InitContainerStatuses = nil
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		state := running(status.StartTime)
		sidecar := container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if !sidecar {
			state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: "Completed", StartedAt: *status.StartTime, FinishedAt: *status.StartTime, ContainerID: containerID(pod, container.Name),
			}}
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, containerStatus(pod, container, state, sidecar))
	}
	status.ContainerStatuses = nil
	for i := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(pod, &pod.Spec.Containers[i], running(status.StartTime), true))
	}

	setCondition(&status, pod.Generation, corev1.PodReadyToStartContainers, corev1.ConditionTrue, now)
	setCondition(&status, pod.Generation, corev1.PodInitialized, corev1.ConditionTrue, now)
	setCondition(&status, pod.Generation, corev1.ContainersReady, corev1.ConditionTrue, now)
	setCondition(&status, pod.Generation, corev1.PodReady, readiness(pod), now)
	return status, !apiequality.Semantic.DeepEqual(status, pod.Status)
}

// readiness is what remains once the containers are ready: the conditions that the pod's readiness gates name, which
// somebody else sets.
func readiness(pod *corev1.Pod) corev1.ConditionStatus {
	for _, gate := range pod.Spec.ReadinessGates {
		passed := false
		for _, condition := range pod.Status.Conditions {
			passed = passed || condition.Type == gate.ConditionType && condition.Status == corev1.ConditionTrue
		}
		if !passed {
			return corev1.ConditionFalse
		}
	}
	return corev1.ConditionTrue
}

func setCondition(status *corev1.PodStatus, generation int64, kind corev1.PodConditionType, value corev1.ConditionStatus, now metav1.Time) {
	for i := range status.Conditions {
		condition := &status.Conditions[i]
		if condition.Type != kind {
			continue
		}
		if condition.Status != value {
			condition.Status = value
			condition.LastTransitionTime = now
		}
		condition.ObservedGeneration = generation
		return
	}
	status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: value, ObservedGeneration: generation, LastTransitionTime: now})
}

func containerStatus(pod *corev1.Pod, container *corev1.Container, state corev1.ContainerState, started bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name:        container.Name,
		Image:       container.Image,
		ImageID:     "fake://" + container.Image,
		ContainerID: containerID(pod, container.Name),
		State:       state,
		Ready:       true,
		Started:     &started,
	}
}

func containerID(pod *corev1.Pod, container string) string {
	return fmt.Sprintf("fake://%s/%s", pod.UID, container)
}

func running(since *metav1.Time) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: *since}}
}
