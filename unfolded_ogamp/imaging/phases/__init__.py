"""Node phases: refinement with a reference channel, and autofocus without one."""
