//go:build tools

// Package gitea pins the git host of the tests: go.mod and go.sum name every module of its build.
package gitea

import _ "code.gitea.io/gitea"
