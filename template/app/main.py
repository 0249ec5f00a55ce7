"""The ASGI application, for any server: `uvicorn app.main:app`."""

from app.settings import Settings
from chatkit_engine import create_app

app = create_app(Settings(), app="app")
