"""What mlinfra does for a person: one operation a file; each returns what a command shows."""
