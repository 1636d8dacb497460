"""Pipelines of the git hosts, written from the environments of a repository."""
