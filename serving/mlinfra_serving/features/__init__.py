"""Rows of a feature store, loaded where its database is reached."""
