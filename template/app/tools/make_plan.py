"""Makes a plan for a goal. The result is a typed value, and the user sees it as a widget."""

from agents import FunctionTool, function_tool
from agents.tool_context import ToolContext

from app.agents.planner import Plan, create_planner
from app.widgets.plan import plan_as_text, plan_widget
from chatkit_engine import AgentFactory, TurnContext, read_only, run_typed


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
