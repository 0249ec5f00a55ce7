"""Agents, one a file, found by the engine.

A function `create(factory)` makes a specialist that the assistant hands a thread over to.
A function `create_tool(factory)` makes an agent that other agents call as a tool.
"""
