"""The assistant's instructions, and the hooks of this application.

`install` is called once, when the application is created. `Builder` has a method for each hook:
guardrails, another model or login, routes, middleware, health checks and more.
"""

from chatkit_engine import Builder

INSTRUCTIONS = """\
You are a helpful assistant. Answer briefly and exactly. Use a tool when it knows more than you.
Say so when you do not know."""


def install(builder: Builder) -> None:
    builder.set_instructions(INSTRUCTIONS)
