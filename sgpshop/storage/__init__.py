"""How we write: database, schema, secrets at rest, pages by key."""
