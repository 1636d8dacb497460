"""The Pulumi program of every environment: `pulumi up -s dev` and `mlinfra up dev` run this file.

Raw Pulumi resources of your own may be declared below; they are planned, checked and priced like the others.
"""

from mlinfra.program import main

main()
