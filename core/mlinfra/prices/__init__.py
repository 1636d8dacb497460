"""What resources cost: prices as data, what each type of resource is billed by, and the estimate of a stack.

`aws.csv`, `azure.csv` and `gcp.csv` hold the list prices and `free.csv` the types that cost nothing, each
line with its source. `types/` says what a resource is billed by, one module a family of services. Only `update/` asks
a network.
"""
