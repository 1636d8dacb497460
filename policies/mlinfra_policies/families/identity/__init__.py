"""Identities: as whom a workload runs, how people sign in, and where credentials stand."""
