"""The application: what it does beyond the engine. Everything in this package is yours."""
