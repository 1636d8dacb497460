"""The files of a small repository whose parts are real: is a city crowded, by its weather and the hour?

Twenty days of three cities and a logistic regression: an `up` costs the start of the real parts and nothing else.
"""

from __future__ import annotations

STACK = "stacks/crowds/stack.py"

FILES = {
    "Pulumi.yaml": """
        name: mlinfra
        main: stacks/
        runtime: python
        backend:
          url: file://.mlinfra/state
        """,
    "stacks/__main__.py": """
        from mlinfra.program import main

        main()
        """,
    STACK: """
        from mlinfra import (
            Capture, Compute, Dataset, DriftMonitor, Endpoint, Entity, Feature, FeatureStore, ModelRegistry, Stack,
            TrainingJob, js_divergence, metric,
        )

        stack = Stack("crowds", owner="people@example.com")
        weather = stack.add(
            FeatureStore(
                "weather",
                entity=Entity("city", key="string"),
                event_time="observed_at",
                features=[Feature("temperature", "float64"), Feature("humidity", "float64")],
                source="features.py:weather",
            )
        )
        train = stack.add(
            TrainingJob(
                "crowds",
                code="train.py",
                inputs={"visits": Dataset("data.py:visits", features=[weather])},
                params={"strength": 1.0},
                accept=[metric("accuracy") >= 0.6],
            )
        )
        models = stack.add(ModelRegistry("crowds", trained_by=train))
        api = stack.add(
            Endpoint("crowds", model=models, runtime="sklearn", compute=Compute(), capture=Capture(percent=50))
        )
        stack.add(
            DriftMonitor(
                "crowds", endpoint=api, baseline=train, every="1h", thresholds={"temperature": js_divergence() <= 0.1}
            )
        )
        """,
    "stacks/crowds/features.py": """
        import pandas as pd

        CITIES = {"ams": 10.0, "ber": 20.0, "cph": 5.0}


        def weather():
            days = pd.date_range("2024-03-01", periods=20, freq="D", tz="UTC")
            rows = [
                {
                    "city": city,
                    "observed_at": day,
                    "temperature": base + number,
                    "humidity": 90.0 - number,
                    "pressure": 1000.0 + number,
                }
                for city, base in CITIES.items()
                for number, day in enumerate(days)
            ]
            return pd.DataFrame(rows)
        """,
    "stacks/crowds/data.py": """
        import numpy as np
        import pandas as pd


        def visits():
            random = np.random.default_rng(7)
            hours = random.integers(24, 19 * 24, 300)
            return pd.DataFrame(
                {
                    "event_timestamp": pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(hours, unit="h"),
                    "city": random.choice(["ams", "ber", "cph"], 300),
                    "hour": (hours % 24).astype("float64"),
                    "crowded": hours % 24 > 11,
                }
            )
        """,
    "stacks/crowds/train.py": """
        import pandas as pd
        from sklearn.linear_model import LogisticRegression

        import mlinfra.training

        run = mlinfra.training.run()
        visits = pd.read_parquet(run.inputs["visits"])
        seen = visits[["temperature", "humidity", "hour"]]
        model = LogisticRegression(C=run.params["strength"], max_iter=1000).fit(seen, visits["crowded"])
        run.log_metric("accuracy", model.score(seen, visits["crowded"]))
        run.save_model(model, example=seen)
        """,
    "environments/dev.yaml": """
        target: local
        stacks: [crowds]
        train: true
        releases: latest
        """,
    "environments/staging.yaml": """
        target: local
        stacks: [crowds]
        """,
    "environments/prod.yaml": """
        target: local
        stacks: [crowds]
        """,
}
