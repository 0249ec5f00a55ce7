"""Notes: a user's own short texts, over REST, as tools of the assistant, and as widgets."""
