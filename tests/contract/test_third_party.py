"""Somebody else's adapter, built and installed as a package, keeps the contract; each sabotaged one breaks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

PACKAGE = Path(__file__).parent / "third_party"
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"

EXPECTED = {
    "TestAcme": {},
    "TestForgetful": {r"test_no_field_is_ignored\[FeatureStore.ttl\]": "FeatureStore.ttl is ignored"},
    "TestCareless": {r"test_stateful_parts_are_protected\[(FeatureStore|ModelRegistry)\]": "is not protected"},
    "TestCurt": {r"test_no_field_is_ignored\[TrainingJob.spot\]": "spot names no way out"},
    "TestShuffled": {"test_is_deterministic_and_pure": "does something iterate over a set"},
    "TestCutting": {r"test_long_names_survive\[\w+\]": "not by cutting"},
}
"""For each class of contract_acme.py the tests that must fail, and why; all others must pass."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | None]]:
    """Build the wheel, install it, run its contract; return by class and test the failure, or None."""
    work = tmp_path_factory.mktemp("acme")
    source = work / "source"
    for file in [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".toml")]:
        copy = source / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    built = subprocess.run([sys.executable, "-c", BUILD, str(work)], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    # a wheel of pure Python is installed by unpacking it (PEP 427)
    installed = work / "installed"
    with zipfile.ZipFile(work / built.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(installed)
    report = work / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",
        "--import-mode=importlib",
    ]
    ran = subprocess.run(
        [*command, f"--junit-xml={report}", f"--rootdir={work}", str(source / "contract_acme.py")],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=work,
        capture_output=True,
        text=True,
    )
    assert report.exists(), ran.stdout + ran.stderr
    found: dict[str, dict[str, str | None]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failure = next((item for item in case if item.tag in ("failure", "error")), None)
        text = None if failure is None else f"{failure.get('message')}\n{failure.text}"
        found.setdefault(case.attrib["classname"].rsplit(".", 1)[-1], {})[case.attrib["name"]] = text
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_contract_tells_right_from_wrong(name: str, results: dict[str, dict[str, str | None]]) -> None:
    failed = {test: text for test, text in results[name].items() if text is not None}
    assert len(results[name]) > (80 if name == "TestAcme" else 30)
    for pattern, reason in EXPECTED[name].items():
        matching = [text for test, text in failed.items() if re.fullmatch(pattern, test)]
        assert matching, f"{pattern} did not fail"
        assert all(reason in text for text in matching), matching
    surprising = {
        test: text for test, text in failed.items() if not any(re.fullmatch(known, test) for known in EXPECTED[name])
    }
    assert not surprising
