"""Tools and actions that produce everything ChatKit can show."""

from chatkit_engine.builder import Builder

from . import context, threads, widgets, work


def install(builder: Builder) -> None:
    for part in (context, threads, widgets, work):
        builder.add_tools(*part.TOOLS)
    builder.add_actions(threads.wait, widgets.rate)
