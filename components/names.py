"""Parts of physical names that more than one place goes by."""

# A dead-letter queue is called what its queue is, with this behind it.
DEAD_LETTERS_SUFFIX = "-dead-letters"

# The name of every alarm begins with this, after the stack's prefix.
ALARM_NAMES_BEGIN_WITH = "file-copy-"

# The index of the tracking table by status and start time, and what it holds of a record beside its keys.
STATUS_INDEX = "status-startTime"
LISTED_ATTRIBUTES = ("completedAt", "executionId", "failedBuckets", "failedCopies", "successfulCopies", "totalBuckets")


def in_region(name: str, region: str | None) -> str:
    """``name`` in the stack's own region, which ``None`` stands for; in another one with the region behind it.

    IAM's names are the whole account's, so a role's has to say the region. Whatever else there is once for each region
    could do without, but says it as well: so a function, its role, its log, its alarms and its output go by one name.
    """
    return f"{name}-{region}" if region else name
