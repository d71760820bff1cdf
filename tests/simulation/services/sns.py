"""SNS in memory: a topic keeps what was published, and delivers it.

API reference of Amazon SNS, Publish; developer guide, "Quotas".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from .service import Answer, Arguments, RefusedError, Service, operation

MAX_MESSAGE_BYTES = 256 * 1024

# ASCII, less than 100 characters; it begins with a letter, a digit or punctuation, and has no line breaks.
_SUBJECT = re.compile(r"[!-~][ -~]{0,98}")


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A message that was published."""

    id: str
    topic_arn: str
    subject: str | None
    message: str
    time: float


@dataclass
class SNS(Service):
    """The topics of one region."""

    now: Callable[[], float]
    topics: set[str] = field(default_factory=set)
    """Their ARNs."""
    confirmed: Counter[str] = field(default_factory=Counter)
    """The number of subscriptions of a topic that were confirmed."""
    published: list[Notification] = field(default_factory=list)
    deliver: Callable[[Notification], None] = lambda _: None

    @operation("Publish", "TopicArn Subject Message")
    def publish(self, arguments: Arguments) -> Answer:
        topic, subject, message = arguments["TopicArn"], arguments.get("Subject"), arguments["Message"]
        if topic not in self.topics:
            raise RefusedError("NotFound", "Topic does not exist", 404)
        if subject is not None and not _SUBJECT.fullmatch(subject):
            raise RefusedError("InvalidParameter", "Invalid parameter: Subject")
        if not message:
            raise RefusedError("InvalidParameter", "Invalid parameter: Empty message")
        if len(message.encode()) > MAX_MESSAGE_BYTES:
            raise RefusedError("InvalidParameter", "Invalid parameter: Message too long")
        notification = Notification(
            id=f"notification-{len(self.published) + 1}",
            topic_arn=topic,
            subject=subject,
            message=message,
            time=self.now(),
        )
        self.published.append(notification)
        self.deliver(notification)
        return {"MessageId": notification.id}

    @operation("GetTopicAttributes", "TopicArn")
    def get_topic_attributes(self, arguments: Arguments) -> Answer:
        topic = arguments["TopicArn"]
        if topic not in self.topics:
            raise RefusedError("NotFound", "Topic does not exist", 404)
        return {"Attributes": {"TopicArn": topic, "SubscriptionsConfirmed": str(self.confirmed[topic])}}
