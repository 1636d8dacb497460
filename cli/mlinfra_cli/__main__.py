"""`python -m mlinfra_cli` is `mlinfra`."""

from mlinfra_cli.app import main

main()
