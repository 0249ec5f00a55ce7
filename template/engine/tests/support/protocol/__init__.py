"""Records conversations over a real socket, to see how much of the ChatKit protocol they use."""
