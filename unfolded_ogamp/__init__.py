"""Learned, physics-built estimators for distributed radio sensing."""
