"""Parts of physical names that several modules use."""

# The name of a dead-letter queue is its queue's name and this suffix.
DEAD_LETTERS_SUFFIX = "-dead-letters"

# The name of every alarm begins with this, after the stack's prefix.
ALARM_NAMES_BEGIN_WITH = "file-copy-"

# The index of the tracking table by status and start time, and the attributes that it holds besides its keys.
STATUS_INDEX = "status-startTime"
LISTED_ATTRIBUTES = ("completedAt", "executionId", "failedBuckets", "failedCopies", "successfulCopies", "totalBuckets")


def in_region(name: str, region: str | None) -> str:
    """``name`` for the stack's own region (``None``); ``name`` and the region for another one.

    IAM's names are unique in the whole account, so the name of a role needs the region. The names of other resources do
    not, but have it as well: a function, its role, its log, its alarms and its output then have the same name.
    """
    return f"{name}-{region}" if region else name
