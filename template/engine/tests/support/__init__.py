"""What the tests share: fakes at the network's edge, and the app as production starts it."""
