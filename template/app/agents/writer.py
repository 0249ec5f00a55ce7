"""The writer: drafts texts, and revises them."""

from agents import Agent

from chatkit_engine import AgentFactory, TurnContext, brief

DESCRIPTION = "drafts and revises texts, such as letters, posts, summaries and speeches"

INSTRUCTIONS = """\
You are the writer. You draft the text that the user asks for, and revise it until they are content.
If it is unclear whom the text is for or how long it should be, assume something sensible and say
what. Give the text first, then at most two sentences about it. When you revise, change what was
asked and leave the rest. Where the user has selected text on the page, that is the text they mean.
When the user wants something other than a text, hand back to the Assistant."""


def create(factory: AgentFactory) -> Agent[TurnContext]:
    return factory.agent("Writer", brief(INSTRUCTIONS), handoff_description=DESCRIPTION)
