"""Names within Kubernetes' limits, for who declares and for who asks: nothing of Pulumi is needed for them."""

from __future__ import annotations

from mlinfra.declarations.part import Part
from mlinfra_providers.short_names import short_name

LIMIT = 63
"""Of a DNS label: names of services, namespaces and values of labels (kubernetes.io/docs: Object Names and IDs)."""
SERVICE_LIMIT = LIMIT - len("-predictor")
"""Of InferenceServices: KServe calls their service `<name>-predictor`."""
CRON_LIMIT = 52
"""Of CronJobs: their jobs get eleven characters more (kubernetes.io/docs: CronJob)."""
REGISTRY_LIMIT = 50
"""Of registries: the Secret that names their database is called `<name>-database`."""
TRAIN_LIMIT = 35
"""Of runtimes: a run's name is the runtime's and a digest, and its pods get `-node-0-0-xxxxx` more."""
STORE_LIMIT = 40
"""Of feature stores: the Feast operator calls what it makes `feast-<name>-<service>`."""
LOAD = "load"
COMPONENT = "mlinfra-component"
"""The label of every other pod: which part's it is, by its name in the cluster."""
OWNER = "mlinfra/owner"
"""The annotation of what mlinfra makes: who owns the part that it is of."""


def physical_name(part: Part) -> str:
    """Return the part's name in the cluster: a renamed part keeps the one that its data has."""
    return part.renamed_from or part.name


def name(part: Part, *pieces: str, limit: int = LIMIT) -> str:
    """Return the name of something of a part. The namespace sets environments apart, so it is not in it."""
    return short_name(physical_name(part), *pieces, limit=limit)


def loader_name(store: Part) -> str:
    """Return the name of what loads the rows of a feature store: its identity, and the component of its pods."""
    return name(store, LOAD)


def project(store: str) -> str:
    """Return the project of a store by its name in the cluster: Feast's table and view are called like it."""
    return store.replace("-", "_")
