"""The Lambda functions. They import only the standard library, boto3 and each other: see docs/architecture.md."""
