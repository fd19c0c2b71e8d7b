"""What the CSI says before any fit: values that are no measurement, and conventions that it contradicts."""
