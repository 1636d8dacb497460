//go:build tools

// Package engine pins the Pulumi engine: go.mod and go.sum name every module of its build, so that no
// version list and no checksum database is asked.
package engine

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
