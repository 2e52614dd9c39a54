"""One module a resource: its models, its operations, what they do."""
