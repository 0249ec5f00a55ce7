"""One run of the agents: the ChatKit adapter, tool calls, approvals, history and titles."""
