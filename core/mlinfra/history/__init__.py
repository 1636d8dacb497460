"""What happened in an environment, read from where it is remembered: git, Pulumi's history, and the target."""
