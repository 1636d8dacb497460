"""Networks: who may reach a model, an endpoint or a notebook, and whom these may reach."""
