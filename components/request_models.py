"""JSON schemas (draft 4, which API Gateway reads) of the bodies of the API's routes. No Pulumi here.

A schema says only that a body is an object. API Gateway has one answer for all bodies that do not match, whatever the
route and the mistake. So the functions check the members: their answers name each problem and the rule.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_DRAFT = "http://json-schema.org/draft-04/schema#"

COPY_JOB: Schema = {"$schema": _DRAFT, "title": "CopyJob", "type": "object"}
BUILD: Schema = {"$schema": _DRAFT, "title": "Build", "type": "object"}
