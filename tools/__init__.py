"""What maintainers run and no wheel holds."""
