"""Our books beside SMBC-GP's: every night, by command, and from the console's file."""
