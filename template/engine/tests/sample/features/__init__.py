"""Features are written into a folder beside this one by the tests that need them."""
