"""Promotion: what must hold before a release moves on, what changes with it, and how git is told."""
