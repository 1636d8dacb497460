"""The stack of the scenarios: the small one of the end-to-end tests, rolled out by steps that a file decides on."""

from __future__ import annotations

from tests.end_to_end.files import FILES, STACK

SERVED = "compute=Compute(), capture=Capture(percent=50)"
ROLLED_OUT = f"""{SERVED}, rollout=Rollout(steps=[10, 50, 100], bake="1s", gates=[command("sh gate.sh")])"""
GATE = """
    case $(cat gate) in
      pass) exit 0 ;;
      once) echo silent > gate; exit 0 ;;
      silent) kill -9 $$ ;;
      *) echo "the file says so"; exit 1 ;;
    esac
    """


def files() -> dict[str, str]:
    """Return the text of each file."""
    stack = FILES[STACK].replace(SERVED, ROLLED_OUT)
    assert stack != FILES[STACK]
    stack = stack.replace("TrainingJob, js_divergence", "Rollout, TrainingJob, command, js_divergence")
    return {**FILES, STACK: stack, "gate.sh": GATE, "gate": "pass"}
