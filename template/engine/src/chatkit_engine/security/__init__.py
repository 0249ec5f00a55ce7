"""Authentication, and signed links to files."""
