"""Will a flight out of New York arrive more than 15 minutes late? Known at departure time only."""

from mlinfra import (
    Capture,
    Compute,
    Dataset,
    DriftMonitor,
    Endpoint,
    Entity,
    Feature,
    FeatureStore,
    ModelRegistry,
    Rollout,
    Stack,
    TrainingJob,
    auc,
    error_rate,
    js_divergence,
    linf,
    p95_ms,
)

stack = Stack("flight-delay", owner="flights@example.com")

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
weather = stack.add(
    FeatureStore(
        "airport-weather",
        entity=Entity("origin", key="string"),
        event_time="observed_at",
        features=[Feature(name, "float64") for name in WEATHER],
        source="features.py:weather",
        ttl="3h",
    )
)
planes = stack.add(
    FeatureStore(
        "planes",
        entity=Entity("tailnum", key="string"),
        event_time="known_at",
        features=[Feature(name, "float64") for name in ("year_built", "seats", "engines")],
        source="features.py:planes",
    )
)
train = stack.add(
    TrainingJob(
        "flight-delay",
        code="train.py",
        inputs={"flights": Dataset("data.py:flights", features=[weather, planes])},
        params={"congestion": True},
        compute=Compute(cpus=1, memory_gib=4),
        max_runtime="10m",
        accept=[auc() >= 0.68],
    )
)
models = stack.add(ModelRegistry("flight-delay", trained_by=train))
api = stack.add(
    Endpoint(
        "flight-delay",
        model=models,
        runtime="sklearn",
        compute=Compute(cpus=1, memory_gib=2),
        capture=Capture(percent=100),
        rollout=Rollout(steps=[10, 50, 100], bake="5m", gates=[p95_ms() <= 50, error_rate() <= 0.01]),
    )
)
stack.add(
    DriftMonitor(
        "flight-delay",
        endpoint=api,
        baseline=train,
        every="1h",
        thresholds={
            "temp": js_divergence() <= 0.1,
            "dewp": js_divergence() <= 0.1,
            "wind_gust": js_divergence() <= 0.03,
            "origin_delay": js_divergence() <= 0.05,
            "dest": linf() <= 0.1,
            "prediction": js_divergence() <= 0.05,
        },
        on_drift="block-promotion",
    )
)
