"""What people work in on SageMaker: amounts computed by hand from the list prices that are shipped."""

from __future__ import annotations

from tests.prices.test_aws import US, Estimator, Make, monthly, same


def test_a_notebook_is_on_as_long_as_is_stated(make: Make, price: Estimator) -> None:
    notebook = make("aws:sagemaker/notebookInstance:NotebookInstance", {**US, "instanceType": "ml.t3.medium"})
    assert monthly(price(notebook)) == same(37.20)  # 0.05 x 730 + 5 GB x 0.14
    assert monthly(price(notebook, usage={"main": {"hours": 160}})) == same(8.70)


APP = "aws:sagemaker/app:App"


def test_an_app_costs_its_instance(make: Make, price: Estimator) -> None:
    spec = {"resourceSpec": {"instanceType": "ml.m5.xlarge"}}
    assert monthly(price(make(APP, {**US, "appType": "JupyterLab", **spec}))) == same(167.90)
    found = price(make(APP, {**US, "appType": "CodeEditor"}), usage={"main": {"hours": 100}})
    assert monthly(found) == same(5.0)  # an ml.t3.medium where nothing is said
    assert found.items[0].assumed == "a CodeEditor app costs what one of JupyterLab does"
    assert price(make(APP, {**US, "appType": "JupyterServer"})).free


def test_a_space_costs_its_volume_until_somebody_works_in_it(make: Make, price: Estimator) -> None:
    storage = {"ebsStorageSettings": {"ebsVolumeSizeInGb": 20}}
    lab = {"defaultResourceSpec": {"instanceType": "ml.t3.medium"}}
    inputs = {**US, "spaceSettings": {"spaceStorageSettings": storage, "jupyterLabAppSettings": lab}}
    space = make("aws:sagemaker/space:Space", inputs)
    assert monthly(price(space)) == same(2.80)  # 20 x 0.14
    assert monthly(price(space, usage={"main": {"hours": 40}})) == same(4.80)
