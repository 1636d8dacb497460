"""Artifacts: written, checked, read back, and refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlinfra.digests import digest_tree
from mlinfra.problems import MlinfraError, Refused
from mlinfra_serving.artifacts import check_requirements, load_model, write_model


class Bomb:
    """Its pickle writes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def copied(artifact: Any, folder: Path) -> Path:
    folder.mkdir()
    for path in artifact.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_loaded_model_answers_as_the_model_did(sklearn_artifact: Any) -> None:
    loaded = load_model(sklearn_artifact.folder, sklearn_artifact.digest, "sklearn")
    frame = sklearn_artifact.frame
    np.testing.assert_array_equal(loaded.predict(frame), sklearn_artifact.model.predict_proba(frame)[:, 1])
    # columns in another order, and more of them, are put right
    shuffled = frame[frame.columns[::-1]].assign(other=1)
    np.testing.assert_array_equal(loaded.predict(shuffled), loaded.predict(frame))
    assert [entry["name"] for entry in loaded.signature["inputs"]] == list(frame.columns)


def test_a_changed_pickle_is_refused_before_it_is_read(sklearn_artifact: Any, tmp_path: Path) -> None:
    folder, marker = copied(sklearn_artifact, tmp_path / "model"), tmp_path / "exploded"
    (folder / "model.joblib").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(Refused, match="changed"):
        load_model(folder, sklearn_artifact.digest, "sklearn")
    assert not marker.exists()
    # the bomb is real: with the digest of the changed folder it goes off
    load_model(folder, digest_tree(folder), "sklearn")
    assert marker.exists()


@pytest.mark.local
def test_the_server_refuses_a_changed_model_in_one_line_with_exit_code_78(
    sklearn_artifact: Any, tmp_path: Path
) -> None:
    folder, marker = copied(sklearn_artifact, tmp_path / "model"), tmp_path / "exploded"
    (folder / "model.joblib").write_bytes(pickle.dumps(Bomb(marker)))
    arguments = f"--name m --runtime sklearn --release r --port 0 --model-digest {sklearn_artifact.digest}".split()
    command = [sys.executable, "-m", "mlinfra_serving", *arguments, "--model-dir", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "the model was changed" in ended.stderr
    assert not marker.exists()


def test_a_file_added_to_the_folder_is_a_change(sklearn_artifact: Any, tmp_path: Path) -> None:
    folder = copied(sklearn_artifact, tmp_path / "model")
    (folder / "sitecustomize.py").touch()
    with pytest.raises(Refused):
        load_model(folder, sklearn_artifact.digest, "sklearn")


def test_a_saved_model_replaces_the_one_before_and_leaves_nothing_else(xgboost_artifact: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "of_before").touch()
    assert write_model(xgboost_artifact.model, xgboost_artifact.frame, folder) == "xgboost"
    assert sorted(path.name for path in folder.iterdir()) == ["model.ubj", "requirements.txt", "signature.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_the_xgboost_runtime_predicts_is_what_each_kind_of_model_predicts(tmp_path: Path) -> None:
    import xgboost

    random = np.random.default_rng(3)
    frame = pd.DataFrame({"a": random.normal(size=300), "b": random.normal(size=300)})
    classes = (frame["a"] > 0).astype(int) + (frame["b"] > 0.5).astype(int)
    for kind, target in (
        (xgboost.XGBRegressor, frame["a"] * 3),
        (xgboost.XGBClassifier, classes),
        (xgboost.XGBClassifier, classes > 0),
    ):
        model = kind(n_estimators=8, n_jobs=1).fit(frame, target)
        folder = tmp_path / "model"
        write_model(model, frame, folder)
        served = load_model(folder, digest_tree(folder), "xgboost").predict(frame)
        direct = model.predict_proba(frame)[:, 1] if target.dtype == bool else model.predict(frame)
        np.testing.assert_allclose(served, direct, rtol=1e-6)


def test_a_model_whose_answers_depend_on_the_type_of_an_integer_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(MlinfraError, match="answers differently"):
        write_model(ByType(), pd.DataFrame({"a": [1, 2, 3]}), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


class ByType:
    """Predicts 1 for integers and 0 for floating point numbers."""

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.full(len(frame), float(frame["a"].dtype.kind == "i"))


class Words:
    """Predicts text."""

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.array(["late"] * len(frame))


def test_a_model_that_predicts_text_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(MlinfraError, match="not numbers"):
        write_model(Words(), pd.DataFrame({"a": [1.0]}), tmp_path / "model")


def test_a_model_with_code_of_the_training_script_is_not_saved(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import pandas as pd, pathlib\n"
        "from mlinfra.problems import MlinfraError\n"
        "from mlinfra_serving.artifacts import write_model\n"
        "class Mine:\n"
        "    def predict(self, frame): return frame['a']\n"
        "try: write_model(Mine(), pd.DataFrame({'a': [1.0]}), pathlib.Path('model'))\n"
        "except MlinfraError as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "code of the training script: Mine" in ended.stdout


def test_other_versions_warn_and_missing_libraries_are_all_named(tmp_path: Path) -> None:
    listed = tmp_path / "requirements.txt"
    listed.write_text("scikit-learn==0.1.2\n")
    assert len(check_requirements(tmp_path)) == 1
    import numpy

    listed.write_text(f"numpy=={numpy.__version__}\nscipy==1.*\nnot-a-library-a==1.0\nnot-a-library-b==2.0\n")
    with pytest.raises(MlinfraError, match=r"not-a-library-a==1.0, not-a-library-b==2.0"):
        check_requirements(tmp_path)


def test_a_folder_that_is_not_of_the_runtime_is_an_error_not_a_traceback(sklearn_artifact: Any) -> None:
    with pytest.raises(MlinfraError, match="not a model of the runtime 'xgboost'"):
        load_model(sklearn_artifact.folder, sklearn_artifact.digest, "xgboost")
    with pytest.raises(MlinfraError, match="unknown runtime 'sklaern'"):
        load_model(sklearn_artifact.folder, sklearn_artifact.digest, "sklaern")


def test_an_mlflow_model_with_code_of_its_own_is_copied_and_not_changed_by_loading(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "flights_own.py").write_text(
        "import mlflow.pyfunc\n"
        "class Twice(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None): return model_input[['a']] * 2\n"
    )
    save = (
        "import sys; sys.path.insert(0, 'code')\n"
        "import flights_own, mlflow.pyfunc, pandas, pathlib\n"
        "from mlinfra_serving.artifacts import write_model\n"
        "mlflow.pyfunc.save_model('theirs', python_model=flights_own.Twice(), code_paths=['code/flights_own.py'],\n"
        "    pip_requirements=[])\n"
        "frame = pandas.DataFrame({'a': [1.0]})\n"
        "assert write_model(pathlib.Path('theirs'), frame, pathlib.Path('model')) == 'mlflow'\n"
    )
    environment = os.environ | {"MLFLOW_UV_AUTO_DETECT": "false", "MLFLOW_LOG_UV_FILES": "false"}
    subprocess.run([sys.executable, "-c", save], cwd=tmp_path, check=True, capture_output=True, env=environment)
    model = tmp_path / "model"
    assert not list(model.rglob("*.pyc"))
    load = (
        "import pandas, pathlib, sys\n"
        "from mlinfra_serving.artifacts import load_model\n"
        "loaded = load_model(pathlib.Path('model'), sys.argv[1], 'mlflow')\n"
        "print(loaded.predict(pandas.DataFrame({'a': [1.5]})).tolist())\n"
    )
    digest = digest_tree(model)
    for _ in range(2):
        command = [sys.executable, "-c", load, digest]
        ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        assert ended.stdout.splitlines()[-1] == "[3.0]"
