"""The client's side: one connection a server, and the tools that the assistant gets of it."""
