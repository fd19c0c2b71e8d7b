"""From the result of a search to an estimate with its confidence."""
