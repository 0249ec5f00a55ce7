"""The ASGI application, for any server: `uvicorn app.main:app`."""

from app.composition import create_app
from app.settings import Settings

app = create_app(Settings())
