"""The network in integers: how it is made from the float one, what it is, and how it is stored."""
