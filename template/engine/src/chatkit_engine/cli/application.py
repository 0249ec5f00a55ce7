"""The application, as a command loads it."""

from chatkit_engine.application import Application
from chatkit_engine.observability.logs import configure_logging
from chatkit_engine.terminal import Project, explained


def load_application(project: Project) -> Application:
    """Return the application, with no database timeout and nothing logged to the terminal.

    `LOG_LEVEL=DEBUG` logs all the same.
    """
    with explained():
        settings = project.settings().model_copy(update={"database_timeout_seconds": None})
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        return Application(settings, project.app)
