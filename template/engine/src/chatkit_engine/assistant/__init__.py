"""What tools, agents and widgets are made of, and what they have in their context."""
