"""What people are told by mail, and other programs by webhook."""
