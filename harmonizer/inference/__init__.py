"""Run a network: device, dtype, backends, export."""
