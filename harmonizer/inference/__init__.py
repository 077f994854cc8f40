"""Where and how a network runs: devices, dtypes, backends, export."""
