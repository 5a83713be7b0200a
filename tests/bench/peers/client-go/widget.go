package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var widgets = schema.GroupVersion{Group: "bench.example.com", Version: "v1"}

// Widget is the custom resource of the benchmarks.
type Widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              WidgetSpec   `json:"spec"`
	Status            WidgetStatus `json:"status"`
}

// WidgetSpec is what a widget should be.
type WidgetSpec struct {
	Replicas int32             `json:"replicas"`
	Image    string            `json:"image"`
	Host     string            `json:"host"`
	Env      map[string]string `json:"env"`
	Paused   bool              `json:"paused"`
	Parts    []Part            `json:"parts"`
}

// Part is a part of a widget.
type Part struct {
	Name string `json:"name"`
	Size int32  `json:"size"`
}

// WidgetStatus is what a widget is.
type WidgetStatus struct {
	ObservedGeneration int64              `json:"observedGeneration"`
	ReadyReplicas      int32              `json:"readyReplicas"`
	Phase              string             `json:"phase"`
	Conditions         []metav1.Condition `json:"conditions"`
}

// WidgetList is a list of widgets.
type WidgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Widget `json:"items"`
}

// DeepCopyObject copies what controller-gen would.
func (w *Widget) DeepCopyObject() runtime.Object {
	c := *w
	w.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	c.Spec.Env = make(map[string]string, len(w.Spec.Env))
	for k, v := range w.Spec.Env {
		c.Spec.Env[k] = v
	}
	c.Spec.Parts = append([]Part(nil), w.Spec.Parts...)
	c.Status.Conditions = make([]metav1.Condition, len(w.Status.Conditions))
	for i := range w.Status.Conditions {
		w.Status.Conditions[i].DeepCopyInto(&c.Status.Conditions[i])
	}
	return &c
}

// DeepCopyObject copies what controller-gen would.
func (l *WidgetList) DeepCopyObject() runtime.Object {
	c := *l
	l.ListMeta.DeepCopyInto(&c.ListMeta)
	c.Items = make([]Widget, len(l.Items))
	for i := range l.Items {
		c.Items[i] = *l.Items[i].DeepCopyObject().(*Widget)
	}
	return &c
}

func addWidgets(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(widgets, &Widget{}, &WidgetList{})
	metav1.AddToGroupVersion(scheme, widgets)
}
