"""The application that the engine's tests run, because a project may change its own."""
