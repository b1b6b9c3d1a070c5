"""What goes out: which parcels wait, the papers and labels that go with them, their slip numbers."""
