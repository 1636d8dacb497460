"""Evidence of a release in an environment: everything that is known of it, and by name what is not."""
