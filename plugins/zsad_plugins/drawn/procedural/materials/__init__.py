"""Materials: functions (generator, canvas) -> Surface, by kind of structure."""
