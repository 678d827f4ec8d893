"""The durable, append-only store of episodes, turns and ratings: SQLite in a file, or PostgreSQL by URL."""
