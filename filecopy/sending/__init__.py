"""Uploads files to the source bucket, and follows their copies to the end."""
