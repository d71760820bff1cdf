"""Parts of physical names that more than one place goes by."""

# A dead-letter queue is called what its queue is, with this behind it.
DEAD_LETTERS_SUFFIX = "-dead-letters"

# The index of the tracking table by status and start time, and what it holds of a record beside its keys.
STATUS_INDEX = "status-startTime"
LISTED_ATTRIBUTES = ("completedAt", "executionId", "failedBuckets", "failedCopies", "successfulCopies", "totalBuckets")
