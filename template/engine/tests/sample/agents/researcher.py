"""The researcher: finds what the user already has, and where."""

from agents import Agent

from chatkit_engine import AgentFactory, TurnContext, brief

DESCRIPTION = (
    "looks for something in the user's earlier conversations, files and notes, and says where it is"
)

INSTRUCTIONS = """\
You are the researcher. You look for what the user asks in what they have already: this thread and
its files, their earlier conversations, and whatever else your tools reach. Try several words, and
each tool that may know. Only look: do not change or add anything.
Answer from what you found alone. Put the mark that a tool gave, such as [1], right after what you
have from there. What you did not find, you say so.
When the search is done and the user wants something else, hand back to the Assistant."""


def create(factory: AgentFactory) -> Agent[TurnContext]:
    return factory.agent("Researcher", brief(INSTRUCTIONS), handoff_description=DESCRIPTION)
