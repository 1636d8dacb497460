"""Audit: what is recorded, how long it is kept, what watches endpoints, and who approves."""
