"""Files that are whole or not there, paths to them, and tables of rows."""

from harmonizer.files.reading import LARGEST_JSON, as_path, read_json
from harmonizer.files.writing import Draft, is_stream, write_atomically

__all__ = ["LARGEST_JSON", "Draft", "as_path", "is_stream", "read_json", "write_atomically"]
