"""Finding, loading and confining plugins. Import the module you need; this one holds nothing."""
