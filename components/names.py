"""Parts of physical names that more than one place goes by."""

# A dead-letter queue is called what its queue is, with this behind it.
DEAD_LETTERS_SUFFIX = "-dead-letters"
