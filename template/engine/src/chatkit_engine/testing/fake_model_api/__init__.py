"""A fake model API on loopback for both wire formats, with real bytes over a real socket."""

from chatkit_engine.testing.fake_model_api.reply import Reply, tool_call
from chatkit_engine.testing.fake_model_api.responses import MESSAGE_ID
from chatkit_engine.testing.fake_model_api.server import FakeModelApi

__all__ = ["MESSAGE_ID", "FakeModelApi", "Reply", "tool_call"]
