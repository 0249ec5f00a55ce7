"""The application that the engine's tests run: it stays the same whatever a project makes of `app`."""
