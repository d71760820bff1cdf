"""What runs in Lambda. Standard library and boto3 only: a function's package is a zip of this folder."""
