"""Tools, one a file, found by the engine.

A tool is a function with `@function_tool`. A tool that needs an agent of its own is made by a
function `create_tool(factory)`. A `ClientTool` declares a tool that the front end runs.
"""
