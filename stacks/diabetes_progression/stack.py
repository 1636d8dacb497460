"""How far will a patient's diabetes have progressed in a year? A small regression, with nothing of the first stack."""

from mlinfra import (
    Capture,
    Compute,
    Dataset,
    DriftMonitor,
    Endpoint,
    ModelRegistry,
    Stack,
    TrainingJob,
    linf,
    metric,
    rmse,
)

stack = Stack("diabetes-progression", owner="clinic@example.com")

train = stack.add(
    TrainingJob(
        "diabetes-progression",
        code="train.py",
        inputs={"patients": Dataset("data.py:patients")},
        compute=Compute(cpus=1, memory_gib=2),
        accept=[rmse() <= 62, metric("r2") >= 0.38],
    )
)
models = stack.add(ModelRegistry("diabetes-progression", trained_by=train))
api = stack.add(
    Endpoint(
        "diabetes-progression",
        model=models,
        runtime="xgboost",
        compute=Compute(cpus=1, memory_gib=2),
        capture=Capture(percent=100),
    )
)
stack.add(
    DriftMonitor("diabetes-progression", endpoint=api, baseline=train, every="6h", thresholds={"bmi": linf() <= 0.3})
)
