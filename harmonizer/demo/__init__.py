"""A page to try the library on: `harmonizer demo` (the extra `demo`)."""
