"""What the scripts of spec-driven development share. Standard library only."""
