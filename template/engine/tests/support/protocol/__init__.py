"""Conversations over a real socket, recorded: what of ChatKit's protocol came and went in them."""
