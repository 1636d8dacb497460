"""How far will a patient's diabetes have progressed in a year? Replace this by a question of your own."""

from mlinfra import (
    Capture,
    Dataset,
    DriftMonitor,
    Endpoint,
    ModelRegistry,
    Stack,
    TrainingJob,
    js_divergence,
    metric,
)

stack = Stack("diabetes", owner="you@example.com")

train = stack.add(
    TrainingJob(
        "diabetes",
        code="train.py",
        inputs={"patients": Dataset("data.py:patients")},
        params={"strength": 0.5},
        max_runtime="5m",
        accept=[metric("r2") >= 0.4],
    )
)
models = stack.add(ModelRegistry("diabetes", trained_by=train))
api = stack.add(Endpoint("diabetes", model=models, runtime="sklearn", capture=Capture(percent=100)))
stack.add(
    DriftMonitor("diabetes", endpoint=api, baseline=train, every="1h", thresholds={"bmi": js_divergence() <= 0.2})
)
