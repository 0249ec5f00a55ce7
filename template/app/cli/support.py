"""The application, as a command loads it."""

from app.composition import Application
from app.observability.logs import configure_logging
from app.settings import Settings
from app.terminal import explained


def load_application() -> Application:
    """Return the application with the terminal left to the answer, and patience with the database.

    LOG_LEVEL=DEBUG shows what went wrong.
    """
    with explained():
        settings = Settings().model_copy(update={"database_timeout_seconds": None})
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        return Application(settings)
