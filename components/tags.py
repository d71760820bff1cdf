"""The tags of every resource, set in one place, so that no resource is forgotten."""

from __future__ import annotations

import pulumi

from .settings import OWN_TAGS, Settings


def tag_everything(settings: Settings) -> None:
    """Tags each resource that is created from now on and supports tags: with the project, the stack, and ``tags``."""
    own = dict(zip(OWN_TAGS, (pulumi.get_project(), pulumi.get_stack()), strict=True))
    tags = {**settings.tags, **own}

    def tag(resource: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # pulumi-aws passes every property of a resource's type, also those that are not set.
        if "tags" not in resource.props:
            return None
        return pulumi.ResourceTransformationResult({**resource.props, "tags": tags}, resource.opts)

    pulumi.runtime.register_stack_transformation(tag)
