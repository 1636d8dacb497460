//go:build tools

// Package apiserver pins the Kubernetes API server and the etcd of the tests: go.mod and go.sum name every module.
package apiserver

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
