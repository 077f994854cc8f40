"""The model zoo: which weights exist, where they come from, and how they are checked."""
