"""Tools that every application has."""
