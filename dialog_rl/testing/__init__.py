"""For the tests of plugin authors, and our own: episodes made by hand, a scripted policy and customer, and fixtures."""
