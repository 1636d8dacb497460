"""Rules on cost: nothing idle, nothing without a bound, nothing without an end."""
