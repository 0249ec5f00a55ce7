"""Loads the application for a command."""

from chatkit_engine.application import Application
from chatkit_engine.observability.logs import configure_logging
from chatkit_engine.terminal import Project, explain_settings_errors


def load_application(project: Project) -> Application:
    """Return the application, without a database timeout because commands may take long.

    It logs nothing to the terminal unless LOG_LEVEL=DEBUG.
    """
    with explain_settings_errors():
        settings = project.settings().model_copy(update={"database_timeout_seconds": None})
        configure_logging(settings, None if settings.log_level == "DEBUG" else "CRITICAL")
        return Application(settings, project.app)
