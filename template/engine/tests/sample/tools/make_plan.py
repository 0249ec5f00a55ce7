"""A plan for a goal: a typed result, shown as a widget."""

from agents import FunctionTool, function_tool
from agents.tool_context import ToolContext

from chatkit_engine import AgentFactory, TurnContext, read_only, run_typed
from sample.agents.planner import Plan, create_planner
from sample.widgets.plan import plan_as_text, plan_widget


def create_tool(factory: AgentFactory) -> FunctionTool:
    planner = create_planner(factory)

    @read_only
    @function_tool
    async def make_plan(ctx: ToolContext[TurnContext], goal: str) -> Plan:
        """Make a plan of steps for a goal, and show it to the user.

        Args:
            goal: What is to be reached, with all that the user said of it.
        """
        plan = await run_typed(planner, Plan, goal, ctx)
        await ctx.context.show(plan_widget(plan), copy_text=plan_as_text(plan))
        return plan

    return make_plan
