"""The tags of every resource, given in one place, so that none is forgotten."""

from __future__ import annotations

import pulumi

from .settings import OWN_TAGS, Settings


def tag_everything(settings: Settings) -> None:
    """Tags each resource that is made from now on and takes tags: with its project, its stack, and ``tags``."""
    own = dict(zip(OWN_TAGS, (pulumi.get_project(), pulumi.get_stack()), strict=True))
    tags = {**settings.tags, **own}

    def tag(resource: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # pulumi-aws names every property of a resource's type, given or not.
        if "tags" not in resource.props:
            return None
        return pulumi.ResourceTransformationResult({**resource.props, "tags": tags}, resource.opts)

    pulumi.runtime.register_stack_transformation(tag)
