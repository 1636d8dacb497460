"""The pack as the engine starts it; `pulumi up --policy-pack policies` starts the same."""

from mlinfra.policy.analyzer import serve

serve()
