// Command controlplane is the Kubernetes control plane of one release as a single binary.
//
// The first argument chooses the program; the rest are that program's own flags. Every server ends when its standard
// input closes, so that none outlives the process that started it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	_ "time/tzdata" // CronJobs name time zones; the machine may have none installed.

	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

// removeVariable is set for one of the servers that are started together.
const removeVariable = "CONTROLPLANE_REMOVE_AT_EXIT"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: controlplane etcd|kube-apiserver|kube-controller-manager|kube-scheduler|garbage-collector|kubelet|wait-ready|kubectl [flags]")
		os.Exit(2)
	}
	program := os.Args[1]
	// The programs parse os.Args themselves: to them the program's own name is the first argument.
	os.Args = os.Args[1:]

	switch program {
	case "etcd":
		exitWhenInputCloses(0)
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		serve(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		serve(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		serve(scheduler.NewSchedulerCommand())
	case "kubelet":
		os.Exit(runKubelet(os.Args[1:]))
	case "garbage-collector":
		exitWhenInputCloses(0)
		os.Exit(runGarbageCollector(os.Args[1:]))
	case "wait-ready":
		exitWhenInputCloses(1)
		os.Exit(runWaitReady(os.Args[1:]))
	case "kubectl":
		runKubectl()
	default:
		fmt.Fprintf(os.Stderr, "controlplane: no program %q\n", program)
		os.Exit(2)
	}
}

func serve(command *cobra.Command) {
	exitWhenInputCloses(0)
	os.Exit(cli.Run(command))
}

func runKubectl() {
	// kubectl reads its log level before it builds its commands, because building them may already log.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

// exitWhenInputCloses ends this process when its parent does: the parent holds the other end of standard input, and
// the kernel closes it however the parent dies. A directory named by removeVariable goes too: nobody else is left to
// remove it.
func exitWhenInputCloses(code int) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if directory := os.Getenv(removeVariable); directory != "" {
			removeAll(directory)
		}
		os.Exit(code)
	}()
}

// removeAll removes a directory that other servers, ending at the same moment, may still write to.
func removeAll(directory string) {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := os.RemoveAll(directory)
		if _, statErr := os.Stat(directory); errors.Is(statErr, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "controlplane: remove", directory+":", err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
