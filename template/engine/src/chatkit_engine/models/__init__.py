"""Language models: providers, resilience, and the demo model."""
