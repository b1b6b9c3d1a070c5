"""Whether the shop can work, what is due, and whether somebody is there to do it."""
