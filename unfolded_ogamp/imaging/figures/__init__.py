"""Figures of scenes and estimates."""
