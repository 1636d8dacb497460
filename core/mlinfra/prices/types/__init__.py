"""What resources are billed by: modules named after their provider, `aws_…`, `gcp…`, `azure…`, `kubernetes…`.

They are found by being here, and imported only for resources of their provider.
"""
