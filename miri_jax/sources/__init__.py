"""Where a flow starts on the missing entries: one file a source."""
