"""One turn: from the request to the stored answer."""
