"""How a new release takes the traffic: what is remembered of it, what gates ask, and what is due next."""
