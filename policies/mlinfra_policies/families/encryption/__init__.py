"""Encryption of what an ML platform stores and sends: one module for each kind of thing that is encrypted."""
