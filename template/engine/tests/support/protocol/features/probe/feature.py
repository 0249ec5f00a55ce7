"""Tools and actions that show whatever ChatKit can show, through the application's own code."""

from chatkit_engine.builder import Builder

from . import context, threads, widgets, work


def install(builder: Builder) -> None:
    for part in (context, threads, widgets, work):
        builder.add_tools(*part.TOOLS)
    builder.add_actions(threads.wait, widgets.rate)
