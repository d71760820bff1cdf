"""Puts the messages of a dead-letter queue back into their queue."""

from __future__ import annotations

from components import outputs
from components.names import DEAD_LETTERS_SUFFIX
from filecopy.errors import StackError
from filecopy.stack.stack import Stack
from filecopy.terminal import quoted


def replay(stack: Stack, queue: str) -> int:
    """Move every message of the dead-letter queue of ``queue``, such as ``arrivals-eu-west-1``, back into ``queue``.

    A message leaves the dead-letter queue only after it is in the other queue. If this is interrupted in between, the
    message is in both. The functions can process it twice.

    Returns:
        The number of messages.

    Raises:
        StackError: there is no such queue.
    """
    urls: dict[str, str] = stack.output(outputs.DEAD_LETTER_QUEUE_URLS)
    if queue not in urls:
        raise StackError(f"There is no queue {quoted(queue)}. The queues are {', '.join(urls)}.")
    dead_letters = urls[queue]
    source = dead_letters.removesuffix(DEAD_LETTERS_SUFFIX)
    sqs = stack.clients.in_region(stack.region_of(queue))("sqs")
    count = 0
    while messages := sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
        "Messages"
    ):
        for message in messages:
            sqs.send_message(QueueUrl=source, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])
            count += 1
    return count
